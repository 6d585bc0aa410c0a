"""The node's HTTP interface: what a page, a program or another node can ask of it, and do through it."""
