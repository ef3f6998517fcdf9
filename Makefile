# Each target does its own set-up; the machine needs nothing but Python 3.11 to 3.13.
SHELL := /bin/bash
.PHONY: demo test lint docs clean

demo:  ## open napari on a real slide and find every nucleus; leaves demo-output/
	@tools/demo.sh

test:  ## the whole test suite
	@tools/test.sh -e py

lint:  ## formatting, types, import layers, plugin manifest
	@tools/test.sh -e lint

docs:  ## build the site into site/
	@tools/test.sh -e docs

clean:
	rm -rf .demo-venv .tox-venv .tox site dist build demo-output
