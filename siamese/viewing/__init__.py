"""The page: a map's buildings and imagery as files that a browser opens, a server of them, and one file of all."""
