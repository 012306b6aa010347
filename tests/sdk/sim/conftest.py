"""Starts the simulated provider for the tests of this folder.

Not the router's tests: here the official SDKs talk straight to the simulated provider, which proves
that it is a fair stand-in for OpenAI and Anthropic.
"""

import json
import os
import subprocess
import urllib.request

import anthropic
import openai
import pytest


class Sim:
    """A running provider and its remote control."""

    def __init__(self, url):
        self.url = url

    def control(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def fault(self, kind, count=None, **numbers):
        self.control("POST", "/_sim/fault", {"fault": {"kind": kind, **numbers}, "count": count})

    def log(self):
        return self.control("GET", "/_sim/log")

    def reset(self):
        self.control("DELETE", "/_sim/fault")
        self.control("DELETE", "/_sim/log")


@pytest.fixture(scope="session")
def process():
    binary = os.environ.get("SIM_PROVIDER_BIN")
    if not binary:
        pytest.fail("set SIM_PROVIDER_BIN to the built sim-provider", pytrace=False)
    command = [binary, "--tokens", "8"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield Sim(running.stdout.readline().strip())
        finally:
            running.terminate()


@pytest.fixture
def sim(process):
    process.reset()
    return process


@pytest.fixture
def oai(sim):
    with openai.OpenAI(base_url=sim.url + "/v1", api_key="sk-test-1234", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(sim):
    with anthropic.Anthropic(base_url=sim.url, api_key="sk-ant-5678", max_retries=0) as client:
        yield client
