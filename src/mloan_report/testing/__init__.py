"""For users and their tests: made-up portfolios."""
