"""The judgement of a round, in integers: Gram matrix, pay rules, sums, reference rows. Pure functions on numpy arrays.

A round's updates are given by slot: `rows[i]` is slot i's int16[d], or None where nothing was submitted or opened.
"""
