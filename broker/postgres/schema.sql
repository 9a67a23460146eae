-- The queue. Run by `PostgresCarrier.declare` under an advisory lock; every statement may run again.

CREATE SCHEMA IF NOT EXISTS broker;

-- Who may be written to: a message for anybody else is unroutable (B2).
CREATE TABLE IF NOT EXISTS broker.queue (
    recipient text PRIMARY KEY
);

-- One row a message, deleted when it is acknowledged.
--   waiting      due_at <= now()
--   in hand      due_at > now(): the lease of the consumer that made the attempt numbered `attempts`
--   put off      due_at > now(): its handler failed, it is tried again then
-- `attempts` grows with every claim, in the transaction that claims. It is both the count that survives the consumer
-- (B4) and the fencing token: who settles a message must name the attempt it was given, so that a consumer that was
-- paused beyond its lease cannot settle what somebody else has in hand.
CREATE TABLE IF NOT EXISTS broker.message (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recipient text NOT NULL REFERENCES broker.queue,
    message_id text NOT NULL,
    raw bytea NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

-- The claim: a recipient's due messages, oldest first, without passing over those in hand or put off.
CREATE INDEX IF NOT EXISTS message_due ON broker.message (recipient, due_at, id);

CREATE TABLE IF NOT EXISTS broker.dead_letter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recipient text NOT NULL REFERENCES broker.queue,
    message_id text NOT NULL,
    reason text NOT NULL,
    raw bytea NOT NULL,
    died_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX IF NOT EXISTS dead_letter_recipient ON broker.dead_letter (recipient, id);
