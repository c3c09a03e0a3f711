"""Every connector for half an hour, with mail all the time and everything else going wrong: ``make soak``."""
