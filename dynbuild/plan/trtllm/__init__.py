"""Where the TensorRT-LLM wheel comes from: downloaded, given, or built from source.  Pure."""
