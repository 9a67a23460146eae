"""Names of the files in a run folder, for those who write them and those who read them."""

RUN_FILE = "run.json"
HISTORY_FILE = "history.jsonl"
PLAN_FILE = "plan.json"
RESULT_FILE = "load.json"
MONTHS_FILE = "months.csv"
LEFT_OUT_FILE = "left_out.csv"
CATALOGUE_FILE = "catalogue.csv"
ROUNDS_FILE = "rounds.csv"
ORDERS_FILE = "orders.csv"
ORDERS_HEADER = (
    *("basket", "reference", "customer_id", "month", "outcome", "order_id", "lines_wanted", "lines_bought"),
    *("units_wanted", "units_bought", "total_minor", "keys", "requests", "unknowns", "seconds", "problem"),
)
