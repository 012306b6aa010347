#!/bin/sh
# Writes the stubs into src/gen/. PROTO is the folder proto/ of Trunkline.
set -eu
buf generate "${PROTO:=../../../../proto}"
buf generate errors
