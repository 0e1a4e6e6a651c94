"""From text to tokens: normalisation and the tokenizer."""
