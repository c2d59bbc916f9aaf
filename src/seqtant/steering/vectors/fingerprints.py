"""Hashes that tell models and tokenizers apart, in the time it takes to look at a few numbers of each tensor."""

from __future__ import annotations

import hashlib
import json

import torch

from seqtant.lm.huggingface import HuggingFaceLM

_SAMPLES = 64


def model_hash(model: HuggingFaceLM) -> str:
    """SHA-256 over names, shapes and 64 evenly spread numbers of every weight, 16 hexadecimal digits.

    Numbers are compared in bfloat16, so that a model is itself whatever type it is loaded in.
    """
    digest = hashlib.sha256()
    for name, weight in sorted(model.model.state_dict().items()):
        flat = weight.reshape(-1)
        step = max(1, flat.numel() // _SAMPLES)
        values = flat[::step][:_SAMPLES].to("cpu", torch.float32).bfloat16().float().tolist()
        digest.update(json.dumps([name, list(weight.shape), values]).encode())
    return digest.hexdigest()[:16]


def tokenizer_hash(model: HuggingFaceLM) -> str:
    """SHA-256 over the vocabulary and the chat template, 16 hexadecimal digits; empty without a tokenizer."""
    if model.tokenizer is None:
        return ""
    words = sorted(model.tokenizer.get_vocab().items())
    text = json.dumps([words, getattr(model.tokenizer, "chat_template", None)], default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
