"""Are the tests of the pure rules any good? `make mutants` breaks the rules one by one and asks whether a test notices.

`mutants.toml` is the list: of a file, which tests know its rules, and which texts are exchanged for which wrong ones.
"""
