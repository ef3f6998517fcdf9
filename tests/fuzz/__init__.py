"""Damaged files of every format: what is read of them is a result or one sentence.

``python -m tests.fuzz svs:1234`` does one case again, with its traceback.
"""
