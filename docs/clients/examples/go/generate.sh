#!/bin/sh
# Writes the stubs into gen/. PROTO is the folder proto/ of Trunkline.
set -eu
buf generate "${PROTO:=../../../../proto}"
