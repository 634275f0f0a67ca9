"""One collection on several machines, through a folder or a bucket that need not understand it.

``remotes`` adds and lists the places, ``run`` brings this machine and one of them to the same state, ``check`` looks
a remote over. What lies there is fixed by ``layout``; the merge itself is :mod:`registry.changes`.
"""
