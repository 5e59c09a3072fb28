#!/usr/bin/env bash
# Whether a program that was built for some machine really runs there: simulator and gateway are started with it, a device is
# registered, sales are posted with the line up and cut, the gateway is killed and started again, and its whole log checked.
#
#   packaging/smoke.sh [RUNNER...] PROGRAM         as: packaging/smoke.sh cross/cross run TARGET PROGRAM
#
# Needs python3.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$@" --version
SMOKE_DIR=$dir python3 - "$@" <<'PYTHON'
import json, os, signal, subprocess, sys, time, urllib.error, urllib.request

command, where = sys.argv[1:], os.environ["SMOKE_DIR"]
began = time.time()


def free_port():
    import socket
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


kra, levers, till = free_port(), free_port(), free_port()
with open(f"{where}/config.toml", "w") as file:
    file.write(f"""
state_dir = "{where}/state"
unix.path = "{where}/till.sock"
admin.path = "{where}/admin.sock"
http.listen = ["127.0.0.1:{till}"]
device.tin = "P051234567Z"
device.serial_number = "TILL-0001"
kra.environment = "custom"
kra.base_url = "http://127.0.0.1:{kra}/etims-api"
delivery.probe_max = "500ms"
sales.realtime_wait = "20s"
log.format = "text"
""")
running = []


def start(*words):
    # A group of its own: a runner's child is ended with it.
    log = open(f"{where}/{words[0]}.log", "ab")
    process = subprocess.Popen([*command, *words], stdout=log, stderr=log, start_new_session=True)
    running.append(process)
    return process


def end(process, by):
    os.killpg(process.pid, by)
    process.wait(60)
    running.remove(process)


def ask(port, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (OSError, ValueError) as error:
        return 0, str(error)


def until(what, look):
    limit = time.time() + 180
    while not look():
        assert time.time() < limit, f"not within 180 s: {what}"
        time.sleep(0.1)


def sell(number, wait=None):
    line = {"itemCd": "KE2NTNO0000001", "itemClsCd": "5059690800", "itemNm": "Bread", "pkgUnitCd": "NT", "qtyUnitCd": "NO",
            "qty": 2, "prc": "58.00", "taxTyCd": "B"}
    path = "/api/sales/" + ("" if wait is None else f"?wait={wait}")
    return ask(till, path, {"trdInvcNo": number, "itemList": [line]})


def run(*words):
    done = subprocess.run([*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=180)
    assert done.returncode == 0, f"{words}: {done.returncode} {done.stdout} {done.stderr}"
    return done.stdout


def status(number):
    answer = ask(till, f"/api/sales/{number}/")[1]
    return answer["status"] if isinstance(answer, dict) else answer


config = ("--config", f"{where}/config.toml")
try:
    start("simulator", "--listen", f"127.0.0.1:{kra}", "--control", f"127.0.0.1:{levers}")
    until("the simulator answers", lambda: ask(levers, "/_sim/books")[0] == 200)
    run("config", "check", *config)
    run("store", "init", *config)
    gateway = start("run", *config)
    until("the device is registered", lambda: "active" in str(ask(till, "/api/device/status/")[1]))
    code, signed = sell("SMOKE-1")
    assert code == 201 and signed["status"] == "signed", (code, signed)
    ask(levers, "/_sim/line", {"up": False})
    for number in range(2, 12):
        code, pending = sell(f"SMOKE-{number}", wait=0)
        assert code == 202, (code, pending)
    end(gateway, signal.SIGKILL)
    gateway = start("run", *config)
    until("it is back", lambda: ask(till, "/api/device/status/")[0] == 200)
    ask(levers, "/_sim/line", {"up": True})
    until("all are signed", lambda: all(status(f"SMOKE-{number}") == "signed" for number in range(1, 12)))
    run("verify", *config)
    memory = next(line for line in open(f"/proc/{gateway.pid}/status") if line.startswith("VmRSS"))
    end(gateway, signal.SIGTERM)
    run("verify", *config)
    run("manual", "--out", f"{where}/manual")
    print(f"smoke: good, 11 sales in {time.time() - began:.1f} s, {memory.split()[1]} kB resident with its runner")
except BaseException:
    for name in ("simulator", "run"):
        try:
            print(f"--- {name}\n" + "".join(open(f"{where}/{name}.log").readlines()[-40:]), file=sys.stderr)
        except OSError:
            pass
    raise
finally:
    for process in list(running):
        end(process, signal.SIGKILL)
PYTHON
