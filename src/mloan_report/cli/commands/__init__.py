"""The commands, found by their files: each module has a function ``command`` named as its file says."""
