"""HAProxy's ``;csv``: the columns of version 2.6 in their order, so that exporters and dashboards for HAProxy fit.

What we do not count is empty, as HAProxy leaves empty what does not apply. One proxy of ours is their frontend ``shop`` and
their backend ``servers`` (haproxy.py generates the same names). A session of a server is a request, as with them.
"""

import csv
import io
from typing import Final

from load_balancer.balancing.members import ServerRow
from load_balancer.balancing.servers import Admin, Operation
from load_balancer.stats.figures import Figures, ServerFigures

FRONTEND, BACKEND = "shop", "servers"
HEADER: Final = (
    "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,"
    "weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,type,rate,"
    "rate_lim,rate_max,check_status,check_code,check_duration,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,"
    "hrsp_other,hanafail,req_rate,req_rate_max,req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,"
    "lastsess,last_chk,last_agt,qtime,ctime,rtime,ttime,agent_status,agent_code,agent_duration,check_desc,"
    "agent_desc,check_rise,check_fall,check_health,agent_rise,agent_fall,agent_health,addr,cookie,mode,algo,"
    "conn_rate,conn_rate_max,conn_tot,intercepted,dcon,dses,wrew,connect,reuse,cache_lookups,cache_hits,"
    "srv_icur,src_ilim,qtime_max,ctime_max,rtime_max,ttime_max,eint,idle_conn_cur,safe_conn_cur,"
    "used_conn_cur,need_conn_est,uweight,agg_server_status,agg_server_check_status,agg_check_status,"
)
COLUMNS: Final = HEADER.removeprefix("# ").rstrip(",").split(",")
_TYPE_FRONTEND, _TYPE_BACKEND, _TYPE_SERVER = 0, 1, 2
_CHECK_WORDS: Final = {
    "L7OK": "Layer7 check passed",
    "L7STS": "Layer7 wrong status",
    "L7RSP": "Layer7 invalid response",
    "L7TOUT": "Layer7 timeout",
    "L4CON": "Layer4 connection problem",
    "L4TOUT": "Layer4 timeout",
}
_WORDS_OF_OURS: Final = {"AWAY": "NOLB"}  # who reads HAProxy's words knows no other: it is not up, by its own word
# What a client is to blame for, when we answer it ourselves; the rest of 4xx denies a request that is well-formed.
_REQUEST_ERRORS: Final = frozenset({400, 408, 413, 414, 417, 431, 501, 505})

Cells = dict[str, object]


def haproxy_csv(figures: Figures) -> str:
    """Header line, frontend, servers, backend; every line ends with a comma, as HAProxy's do."""
    text = io.StringIO()
    text.write(f"{HEADER}\n")
    writer = csv.DictWriter(text, [*COLUMNS, ""], restval="", lineterminator="\n")
    writer.writerow(_frontend(figures))
    for number, server in enumerate(figures.servers, 1):
        writer.writerow(_server(server, number, figures))
    writer.writerow(_backend(figures))
    return text.getvalue()


def status_word(row: ServerRow, rise: int, fall: int) -> str:
    """HAProxy's word for a state, or our ``AWAY``; on the way up or down with how far it is, such as ``UP 1/2``."""
    if row.admin is not Admin.READY or row.operation in (Operation.NOLB, Operation.AWAY):
        return row.word
    if row.check is None and row.operation is Operation.UP:
        return "no check"
    if row.operation is Operation.UP:
        left = row.check_health - rise + 1
        return "UP" if left >= fall else f"UP {left}/{fall}"
    return f"DOWN {row.check_health}/{rise}" if row.check_health else "DOWN"


def _classes(counts: list[int]) -> Cells:
    cells: Cells = {f"hrsp_{hundred}xx": counts[hundred] for hundred in range(1, 6)}
    return cells | {"hrsp_other": counts[0]}


def _frontend(figures: Figures) -> Cells:
    own = figures.own
    errors = sum(count for status, count in own.replies.items() if status in _REQUEST_ERRORS)
    denied = sum(count for status, count in own.replies.items() if status // 100 == 4 and status not in _REQUEST_ERRORS)
    connections, requests = figures.connection_rate, figures.request_rate
    return {
        "pxname": FRONTEND, "svname": "FRONTEND", "scur": figures.connections, "smax": own.connections_most,
        "slim": figures.connections_limit, "stot": own.connections,
        "bin": sum(server.traffic.bytes_in for server in figures.servers),
        "bout": sum(server.traffic.bytes_out for server in figures.servers),
        "dreq": denied, "ereq": errors, "status": "STOP" if figures.draining else "OPEN", "pid": 1, "iid": 2, "sid": 0,
        "type": _TYPE_FRONTEND, "rate": round(connections.now), "rate_lim": 0, "rate_max": round(connections.most),
        "req_rate": round(requests.now), "req_rate_max": round(requests.most), "req_tot": figures.requests,
        "mode": "http", "conn_rate": round(connections.now), "conn_rate_max": round(connections.most),
        "conn_tot": own.connections, "intercepted": sum(own.replies.values()), "dcon": own.connections_refused,
    } | _classes([figures.answers(hundred) for hundred in range(6)])  # fmt: skip


def _server(server: ServerFigures, number: int, figures: Figures) -> Cells:
    row, traffic, rates = server.row, server.traffic, server.rates
    word = status_word(row, figures.check_rise, figures.check_fall)
    cells: Cells = {
        "pxname": BACKEND, "svname": row.name, "qcur": row.queued, "qmax": row.queued_max, "scur": row.serving,
        "smax": row.serving_max, "slim": row.limit or "", "stot": traffic.requests, "bin": traffic.bytes_in,
        "bout": traffic.bytes_out, "dresp": 0, "econ": row.connect_errors, "eresp": row.response_errors,
        "wretr": row.retries, "wredis": row.redispatches,
        "status": _WORDS_OF_OURS.get(word, word), "weight": round(row.effective_weight),
        "act": int(not row.backup), "bck": int(row.backup), "chkfail": row.failed_checks, "chkdown": row.downs,
        "lastchg": round(row.since_seconds), "downtime": round(row.down_seconds), "qlimit": row.maxqueue or "",
        "pid": 1, "iid": 3, "sid": number, "throttle": row.throttle_percent or "", "lbtot": traffic.requests,
        "type": _TYPE_SERVER, "rate": round(rates.requests.now), "rate_max": round(rates.requests.most),
        "req_tot": traffic.requests, "srv_abrt": traffic.failures["answer cut off"], "last_chk": row.reason,
        "ttime": round(rates.time.seconds * 1000), "ttime_max": round(rates.time.longest * 1000),
        "check_rise": figures.check_rise, "check_fall": figures.check_fall, "check_health": row.check_health,
        "addr": server.address, "cookie": row.cookie, "mode": "http", "connect": traffic.connections,
        "reuse": max(0, traffic.requests - traffic.connections), "srv_icur": server.idle, "idle_conn_cur": server.idle,
        "used_conn_cur": row.serving, "uweight": row.weight,
    }  # fmt: skip
    if row.check is not None:
        cells |= {
            "check_status": row.check.status,
            "check_code": row.check.code or "",
            "check_duration": round(row.check.seconds * 1000),
            "check_desc": _CHECK_WORDS.get(row.check.status, row.check.status),
        }
    return cells | _classes(traffic.classes)


def _backend(figures: Figures) -> Cells:
    rows = [server.row for server in figures.servers]
    used = [row for row in rows if row.in_use and row.operation is Operation.UP]  # HAProxy asks nobody that is not
    classes = [sum(server.traffic.classes[hundred] for server in figures.servers) for hundred in range(6)]

    def total(name: str) -> int:
        return sum(int(getattr(row, name)) for row in rows)

    def of_traffic(name: str) -> int:
        return sum(int(getattr(server.traffic, name)) for server in figures.servers)

    return {
        "pxname": BACKEND, "svname": "BACKEND", "qcur": total("queued") + figures.waiting,
        "qmax": max(figures.waiting_max, *(row.queued_max for row in rows), 0) if rows else figures.waiting_max,
        "scur": total("serving"), "smax": max((row.serving_max for row in rows), default=0),
        "stot": of_traffic("requests"), "bin": of_traffic("bytes_in"), "bout": of_traffic("bytes_out"), "dreq": 0, "dresp": 0,
        "econ": total("connect_errors"), "eresp": total("response_errors"), "wretr": total("retries"),
        "wredis": total("redispatches"), "status": "UP" if used else "DOWN",
        "weight": round(sum(row.effective_weight for row in used)),
        "act": sum(row.word == "UP" and not row.backup for row in rows),
        "bck": sum(row.word == "UP" and row.backup for row in rows), "chkdown": total("downs"),
        "lastchg": round(min((row.since_seconds for row in rows), default=0)),
        "downtime": 0 if used else round(min((row.down_seconds for row in rows), default=0)),
        "pid": 1, "iid": 3, "sid": 0, "lbtot": of_traffic("requests"), "type": _TYPE_BACKEND,
        "rate": round(sum(server.rates.requests.now for server in figures.servers)),
        "rate_max": round(sum(server.rates.requests.most for server in figures.servers)),
        "req_tot": of_traffic("requests"), "mode": "http", "algo": figures.algorithm, "connect": of_traffic("connections"),
        "reuse": max(0, of_traffic("requests") - of_traffic("connections")),
    } | _classes(classes)  # fmt: skip
