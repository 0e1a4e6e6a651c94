"""The commands of the command line: each declares its options and hands them to the package that does the work.

Modules here import only what declaring options needs, so that `--help` and `plan` start fast; what a command works with
is imported when it runs.
"""
