"""``mailconnector``: jobs as files in git, and the app at work. Runs where people are; never deployed."""
