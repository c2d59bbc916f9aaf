#!/usr/bin/env bash
# One truncated call to a transformers tokenizer, and the tokenizer.json it saves cuts every text for others.
#
# Guess, written first: truncation=True and padding are arguments of one call; save_pretrained afterwards writes
#   the same tokenizer.json as before.
# Versions: transformers 5.24.0 (no torch needed), tokenizers 0.23.3.
# Behavior: the call sets truncation and padding on the shared inner tokenizer, and the settings of the last
#   call are written to the file. transformers resets them at its next call and so never notices; every
#   other reader of the file (tokenizers itself, and what is built on it) cuts and pads each text to that
#   length without a word.
# Seen: 8 words give 8 tokens from the file saved before the call and 4 from the one saved after it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --no-compile transformers==5.24.0 tokenizers==0.23.3
HF_HUB_OFFLINE=1 "$work/env/bin/python" - "$work" <<'PY'
import sys

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

words = "one two three four five six seven eight"
maker = Tokenizer(models.WordLevel({"[PAD]": 0, **{word: i + 1 for i, word in enumerate(words.split())}}, "[PAD]"))
maker.pre_tokenizer = pre_tokenizers.Whitespace()
before, after = sys.argv[1] + "/before", sys.argv[1] + "/after"
tokenizer = PreTrainedTokenizerFast(tokenizer_object=maker, pad_token="[PAD]")
tokenizer.save_pretrained(before)
tokenizer([words, "one"], truncation=True, max_length=4, padding="max_length")
tokenizer.save_pretrained(after)
for folder, wanted, short in ((before, 8, 1), (after, 4, 4)):
    plain = Tokenizer.from_file(folder + "/tokenizer.json")
    wrapped = AutoTokenizer.from_pretrained(folder)
    counts = len(plain.encode(words)), len(plain.encode("one")), len(wrapped(words).input_ids)
    print(folder.rsplit("/", 1)[1], "tokenizers", counts[:2], "transformers", counts[2])
    assert counts == (wanted, short, 8), counts
PY
