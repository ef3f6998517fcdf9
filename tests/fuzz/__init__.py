"""Damaged files of every format: reading one gives a result or one error message.

``python -m tests.fuzz svs:1234`` repeats one case, with its traceback.
"""
