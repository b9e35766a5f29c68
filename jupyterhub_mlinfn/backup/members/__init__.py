"""How members get their own files back, without the keeper: they look into copies, and what they pick goes to the hub.

    rights     who could read what, where it lay; pure
    areas      what of the copies is a member's, and paths in it; pure
    asker      who asks, by their token
    copies     the snapshots of all targets
    trees      the folders in a snapshot
    browsing   what a member sees of a folder
    stopping   ends what a thread waits for
    archive    a tar of what they may have, as a stream
    upload     that stream goes to the hub
    restores   what is given back at the moment, and was before
    answers    question -> answer
    door       questions by HTTP, on loopback

Nobody gets in here by this service's own rights: it has all files, so each question is judged by what the hub says of
the token that it came with.
"""
