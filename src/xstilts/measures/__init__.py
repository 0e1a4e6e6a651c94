"""What may explain transfer, as functions of arrays: how hard a task is, how near a language, how fit an encoder.

Knows neither recipes nor runs: records, scores, embeddings, gradients and texts come in, numbers go out.
"""
