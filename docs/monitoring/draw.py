#!/usr/bin/env python3
"""Draws provider-dies.svg anew, from a real run: six of the dashboard's panels while a provider fails.

It wants a cluster that `deploy/local/cluster` started (TRUNKLINE_LOCAL_OFFSET as there) and a Prometheus
(tests/provision/prometheus.sh, or TRUNKLINE_PROMETHEUS). For two and a half minutes twelve callers call; for a part
of them alpha answers 500. Then the dashboard's own queries are asked. It ends the Prometheus that it started.
"""

import http.client
import json
import math
import os
import pathlib
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OFFSET = int(os.environ.get("TRUNKLINE_LOCAL_OFFSET", "0"))
PROMETHEUS = os.environ.get("TRUNKLINE_PROMETHEUS", str(ROOT / "target/tools/prometheus"))
CALLERS, WARM_UP_S, LASTS_S, FAULT_S = 12, 20, 150, (20, 60)
RATE = "10s"
# Title, what its numbers are multiplied by, and their unit then.
PANELS = [
    ("Calls by how they ended", 1, "calls/s"),
    ("Weight", 1, ""),
    ("Attempts that fail", 100, "%"),
    ("Share of calls", 100, "%"),
    ("Further tries", 1, "tries/s"),
    ("Cost by endpoint", 1, "$/h"),
]
COLOURS = ["#3274d9", "#e0752d", "#56a64b", "#8f3bb8"]
LEFT, TOP, WIDE, HIGH, ACROSS, DOWN = 46, 30, 358, 114, 420, 190


def ask(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"authorization": "Bearer local", "content-type": "application/json"}
    connection.request(method, path, body and json.dumps(body), headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def start_prometheus(folder, port):
    targets = {"router": range(9091, 9094), "prober": range(9291, 9296)}
    jobs = "".join(
        f"  - job_name: trunkline-{job}\n    honor_labels: true\n    static_configs:\n"
        f"      - {{targets: {json.dumps([f'127.0.0.1:{OFFSET + at}' for at in ports])}, labels: {{cluster: main}}}}\n"
        for job, ports in targets.items()
    )
    config = folder / "prometheus.yaml"
    config.write_text(f"global: {{scrape_interval: 1s}}\nscrape_configs:\n{jobs}")
    words = [PROMETHEUS, f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    return subprocess.Popen(words)


def call_until(ended, lost):
    """One caller: its next call follows the answer to the last one, at any of the routers."""
    at = 0
    while not ended.is_set():
        chat = {"model": "sim/chat", "messages": [{"role": "user", "content": "hello"}]}
        status, _ = ask(OFFSET + 8081 + at % 3, "POST", "/v1/chat/completions", chat)
        at += 1
        if status != 200:
            lost.append(status)


def play():
    """The run. It returns when it began to count."""
    ended, lost = threading.Event(), []
    callers = [threading.Thread(target=call_until, args=(ended, lost)) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    time.sleep(WARM_UP_S)
    began = time.time()
    for at, method, body in [
        (FAULT_S[0], "POST", {"fault": {"kind": "status", "status": 500}}),
        (FAULT_S[1], "DELETE", None),
        (LASTS_S, None, None),
    ]:
        time.sleep(max(0, began + at - time.time()))
        if method:
            assert ask(OFFSET + 7001, method, "/_sim/fault", body)[0] == 200
    ended.set()
    for caller in callers:
        caller.join()
    assert not lost, f"calls were lost: {lost}"
    return began


def panels(part):
    for panel in part:
        yield panel
        yield from panels(panel.get("panels", []))


def curves(port, expression, began):
    """By legend: (seconds since it began, number)."""
    for name, value in {"$__rate_interval": RATE, "$cluster": ".*", "$namespace": ".*"}.items():
        expression = expression.replace(name, value)
    asked = {"query": expression, "start": began, "end": began + LASTS_S, "step": 1}
    _, text = ask(port, "GET", f"/api/v1/query_range?{urllib.parse.urlencode(asked)}")
    told = {}
    for series in json.loads(text)["data"]["result"]:
        legend = next(iter(series["metric"].values()), "").split("/")[0]
        told[legend] = [(at - began, float(number)) for at, number in series["values"]]
    return told


def step_for(most):
    """Three steps of a round number reach it."""
    size = 10 ** math.floor(math.log10(max(most, 1e-9) / 3))
    return next(factor * size for factor in (1, 2, 3, 4, 5, 10) if factor * size * 3 >= most)


def stretches(points):
    """The points that follow one another; where nothing was measured there is no line."""
    line = []
    for point in points:
        if line and (math.isnan(point[1]) or point[0] - line[-1][0] > 1.5):
            yield line
            line = []
        if not math.isnan(point[1]):
            line.append(point)
    yield line


def draw(index, title, unit, told):
    x, y = index % 2 * ACROSS + LEFT, index // 2 * DOWN + TOP
    across = lambda seconds: f"{x + seconds / LASTS_S * WIDE:.1f}"
    numbers = [number for points in told.values() for _, number in points if not math.isnan(number)]
    step = step_for(max(numbers, default=1))
    height = lambda number: f"{y + HIGH - number / (3 * step) * HIGH:.1f}"
    band = (FAULT_S[1] - FAULT_S[0]) / LASTS_S * WIDE
    yield f'<text x="{x - 36}" y="{y - 12}" font-weight="bold" fill="#222">{title}</text>'
    yield f'<rect x="{across(FAULT_S[0])}" y="{y}" width="{band:.1f}" height="{HIGH}" fill="#fbe3e3"/>'
    for tick in range(4):
        at = height(tick * step)
        yield f'<line x1="{x}" x2="{x + WIDE}" y1="{at}" y2="{at}" stroke="#ddd"/>'
        yield f'<text x="{x - 5}" y="{float(at) + 4:.1f}" text-anchor="end" fill="#666">{tick * step:g}</text>'
    if unit:
        yield f'<text x="{x + WIDE}" y="{y - 12}" text-anchor="end" fill="#666">{unit}</text>'
    for seconds in range(0, LASTS_S + 1, 30):
        yield f'<text x="{across(seconds)}" y="{y + HIGH + 14}" text-anchor="middle" fill="#666">{seconds} s</text>'
    for at, (legend, points) in enumerate(sorted(told.items())):
        for line in stretches(points):
            line = " ".join(f"{across(s)},{height(n)}" for s, n in line)
            yield f'<polyline points="{line}" fill="none" stroke="{COLOURS[at]}" stroke-width="1.6"/>'
        yield f'<rect x="{x + 90 * at}" y="{y + HIGH + 23}" width="10" height="3" fill="{COLOURS[at]}"/>'
        yield f'<text x="{x + 90 * at + 14}" y="{y + HIGH + 29}" fill="#333">{legend}</text>'


def main():
    dashboard = json.loads((ROOT / "deploy/grafana/dashboards/trunkline.json").read_text())
    queries = {panel["title"]: panel["targets"][0]["expr"] for panel in panels(dashboard["panels"]) if panel.get("targets")}
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        prometheus = start_prometheus(pathlib.Path(folder), port)
        try:
            began = play()
            shapes = []
            for index, (title, times, unit) in enumerate(PANELS):
                told = curves(port, queries[title], began)
                told = {name: [(at, number * times) for at, number in points] for name, points in told.items()}
                # What never happened is no curve.
                told = {name: points for name, points in told.items() if any(number > 0 for _, number in points)}
                shapes.extend(draw(index, title, unit, told))
        finally:
            prometheus.terminate()
            prometheus.wait()
    head = ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 840 570" font-family="sans-serif" font-size="11">'
            '<rect width="100%" height="100%" fill="#ffffff"/>')
    (HERE / "provider-dies.svg").write_text("\n".join([head, *shapes, "</svg>", ""]))


main()
