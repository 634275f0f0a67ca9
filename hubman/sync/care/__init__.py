"""Care of a remote: look it over, prove its bytes, mend it, move it.

``survey`` lists everything once, ``logs`` and ``blobs`` say what is wrong, ``proofs`` reads bytes, ``repair`` mends,
and ``asks`` lets other machines mend what only they can.
"""
