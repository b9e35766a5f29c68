"""Snapshots of everything that people made, and of the hub itself, and getting them back.

    planning   what is snapshotted and kept; pure
    trouble    what went wrong, in one sentence
    restic     the program restic: its words in, its JSON out
    place      where sources, keys and state are
    state      what is known of a target, kept in a file
    exported   the hub's copies of its databases
    refusals   when a run does not even begin
    target     one run on one target
    sample     a random part of a snapshot, restored and compared
    restoring  one kind of data, or all, written beside
    members    how members get their own files back
    report     what the service tells over HTTP
    __main__   the service, and what `mlinfn backup` runs in its container
"""
