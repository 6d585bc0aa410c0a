"""Statements, proofs and the bytes that both are about. Imports numpy, safetensors and a hash; no torch, no web3."""
