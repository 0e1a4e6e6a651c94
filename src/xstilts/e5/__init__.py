"""multilingual-e5-small (4-bit), a small real encoder of XLM-R's family, as a folder that `model.pretrained` takes."""
