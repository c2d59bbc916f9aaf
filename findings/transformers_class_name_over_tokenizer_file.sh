#!/usr/bin/env bash
# transformers 5 rebuilds parts of a tokenizer from its class' name and drops what tokenizer.json says.
#
# Guess, written first: tokenizer.json is the whole tokenizer; tokenizer_class chooses the wrapper around it,
#   and the tokens are those that the tokenizers library gives for the same file.
# Versions: transformers 5.24.0 (no torch needed), tokenizers 0.23.3.
# Behavior: for GPT2Tokenizer, Qwen2Tokenizer and GPTNeoXTokenizer only vocabulary and merges
#   are kept; the file's normalizer and its pre-tokenizer's prefix space are replaced by the family's own,
#   in silence. With PreTrainedTokenizerFast, or LlamaTokenizer (which is refused with a warning), the
#   file is obeyed. A lowercased corpus' tokenizer then cuts capitals to single bytes.
# Seen: a file that lowercases and adds a space, "The Ships sailed at noon": 5 tokens by the file, 10 by GPT2Tokenizer.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --no-compile transformers==5.24.0 tokenizers==0.23.3
HF_HUB_OFFLINE=1 "$work/env/bin/python" - "$work" <<'PY'
import json
import pathlib
import sys

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer

maker = Tokenizer(models.BPE())
maker.normalizer = normalizers.Lowercase()
maker.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
maker.decoder = decoders.ByteLevel()
maker.train_from_iterator(
    ["the ships sailed at noon and the ship sailed", "ships at noon"] * 5,
    trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    ),
)
text = "The Ships sailed at noon"
by_file = maker.encode(text).ids
lengths = {"the file": len(by_file)}
for name in ("PreTrainedTokenizerFast", "LlamaTokenizer", "GPT2Tokenizer", "Qwen2Tokenizer", "GPTNeoXTokenizer"):
    folder = pathlib.Path(sys.argv[1]) / name
    folder.mkdir()
    maker.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
    ids = AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=False).input_ids
    lengths[name] = len(ids)
    assert (ids == by_file) == (name in ("PreTrainedTokenizerFast", "LlamaTokenizer")), name
print(lengths)
assert list(lengths.values()) == [5, 5, 5, 10, 10, 10]
PY
