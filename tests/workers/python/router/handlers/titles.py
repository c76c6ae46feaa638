TITLES = ["one", "two"]
