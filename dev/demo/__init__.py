"""``make demo``: the whole way from a mailbox to tickets, on this machine, each step told and checked.

`plot` is the story, `story` its teller, `stage` what it is played on, `letters` the mail, `pictures` how things look.
"""
