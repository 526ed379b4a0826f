"""Small networks of `transformers` with random weights: text, images and sound.

Nothing is downloaded. Dropout and DropPath are on wherever the architecture has them.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor, nn

from conformance.specimen import Batch, Specimen

CLASSES = 3
VOCABULARY = 20
PAD, END, FIRST_WORD = 0, 2, 3
TOKENS = 8
PIXELS = 32
SAMPLES = 400


# Batches.


def draw_text(generator: Generator, rows: int = 3) -> dict[str, Tensor]:
    """Sentences that end with one end token each; the first is shorter and padded."""
    ids = torch.randint(FIRST_WORD, VOCABULARY, (rows, TOKENS), generator=generator)
    ids[1:, -1] = END
    ids[0, -3] = END
    ids[0, -2:] = PAD
    return {"input_ids": ids, "attention_mask": (ids != PAD).long()}


def text_batch(generator: Generator) -> Batch:
    """Sentences with one label each."""
    return draw_text(generator), torch.randint(CLASSES, (3,), generator=generator)


def token_batch(generator: Generator) -> Batch:
    """Sentences with one label for each token."""
    return draw_text(generator), torch.randint(CLASSES, (3, TOKENS), generator=generator)


def word_batch(generator: Generator) -> Batch:
    """Sentences with the next word as the label of each token."""
    text = draw_text(generator)
    return text, text["input_ids"].roll(-1, dims=1)


def unmasked_text_batch(generator: Generator) -> Batch:
    """Sentences without a mask, for models that take none."""
    inputs, targets = text_batch(generator)
    assert isinstance(inputs, dict)
    return {"input_ids": inputs["input_ids"]}, targets


def unmasked_word_batch(generator: Generator) -> Batch:
    """Sentences without a mask, with the next word as the label of each token."""
    inputs, targets = word_batch(generator)
    assert isinstance(inputs, dict)
    return {"input_ids": inputs["input_ids"]}, targets


def pixel_batch(generator: Generator) -> Batch:
    """Color images with one label each."""
    pixels = torch.randn(4, 3, PIXELS, PIXELS, generator=generator)
    return {"pixel_values": pixels}, torch.randint(CLASSES, (4,), generator=generator)


def pixel_map_batch(side: int) -> Callable[[Generator], Batch]:
    """Color images with a square map of labels each."""

    def draw(generator: Generator) -> Batch:
        pixels = torch.randn(4, 3, PIXELS, PIXELS, generator=generator)
        return {"pixel_values": pixels}, torch.randint(
            CLASSES, (4, side, side), generator=generator
        )

    return draw


def sound_batch(generator: Generator) -> Batch:
    """Wave forms with one label each."""
    waves = torch.randn(3, SAMPLES, generator=generator)
    return {"input_values": waves}, torch.randint(CLASSES, (3,), generator=generator)


def spectrum_batch(name: str, *shape: int) -> Callable[[Generator], Batch]:
    """Spectrograms of a shape, under the name that the model has for them, with one label each."""

    def draw(generator: Generator) -> Batch:
        spectra = torch.randn(3, *shape, generator=generator)
        return {name: spectra}, torch.randint(CLASSES, (3,), generator=generator)

    return draw


# Transformers.

Settings = Mapping[str, Any]

TEXT: Settings = {
    "vocab_size": VOCABULARY,
    "pad_token_id": PAD,
    "bos_token_id": 1,
    "eos_token_id": END,
    "num_labels": CLASSES,
}
ENCODER: Settings = TEXT | {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
}
DECODER: Settings = ENCODER | {"attention_dropout": 0.1}
GROUPED: Settings = DECODER | {"num_key_value_heads": 1}
PICTURE: Settings = {
    "image_size": PIXELS,
    "patch_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "num_labels": CLASSES,
}
WINDOWS: Settings = {
    "image_size": PIXELS,
    "patch_size": 4,
    "embed_dim": 8,
    "depths": [2, 1],
    "num_heads": [2, 2],
    "window_size": 4,
    "drop_path_rate": 0.2,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "num_labels": CLASSES,
}
# Masks of time and features are drawn by NumPy, which PyTorch's generator does not replay.
SOUND: Settings = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [8, 8],
    "conv_stride": [5, 4],
    "conv_kernel": [10, 8],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "classifier_proj_size": 8,
    "apply_spec_augment": False,
    "num_labels": CLASSES,
}


def build_transformer(architecture: str, config: str, settings: Settings) -> nn.Module:
    """A model of `transformers` with random weights."""
    import transformers

    model: nn.Module = getattr(transformers, architecture)(
        getattr(transformers, config)(**settings)
    )
    return model.train()


def transformer(
    name: str,
    why: str,
    family: str,
    head: str,
    settings: Settings,
    batch: Callable[[Generator], Batch],
    classes: int = CLASSES,
    class_dim: int = 1,
) -> Specimen:
    """A specimen of a family of `transformers` with one of its heads."""

    def build() -> nn.Module:
        return build_transformer(f"{family}{head}", f"{family}Config", settings)

    return Specimen(name, why, build, batch, classes, class_dim, requires=("transformers",))


def sentences(
    name: str,
    why: str,
    family: str,
    settings: Settings,
    batch: Callable[[Generator], Batch] = text_batch,
) -> Specimen:
    """A classifier of sentences."""
    return transformer(name, why, family, "ForSequenceClassification", settings, batch)


def tokens(name: str, why: str, family: str, settings: Settings) -> Specimen:
    """A classifier of tokens."""
    return transformer(
        name, why, family, "ForTokenClassification", settings, token_batch, class_dim=-1
    )


def words(
    name: str,
    why: str,
    family: str,
    settings: Settings,
    head: str = "ForCausalLM",
    batch: Callable[[Generator], Batch] = word_batch,
) -> Specimen:
    """A language model."""
    return transformer(name, why, family, head, settings, batch, VOCABULARY, class_dim=-1)


def pictures(name: str, why: str, family: str, settings: Settings) -> Specimen:
    """A classifier of images."""
    return transformer(name, why, family, "ForImageClassification", settings, pixel_batch)


class Pooled(nn.Module):
    """An encoder of text with a linear head on the mean of its states."""

    def __init__(self, encoder: nn.Module, width: int):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(width, CLASSES)

    def forward(self, **inputs: Tensor) -> Tensor:
        states: Tensor = self.encoder(**inputs).last_hidden_state
        logits: Tensor = self.head(states.mean(1))
        return logits


def pooled(
    name: str, why: str, architecture: str, config: str, settings: Settings, width: int = 16
) -> Specimen:
    """A bare encoder of text under a head of our own."""

    def build() -> nn.Module:
        return Pooled(build_transformer(architecture, config, settings), width).train()

    return Specimen(name, why, build, text_batch, requires=("transformers",))


T5: Settings = TEXT | {
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 32,
    "num_layers": 2,
    "num_heads": 2,
    "decoder_start_token_id": PAD,
}
GPT2: Settings = TEXT | {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
BART: Settings = TEXT | {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 32,
    "decoder_start_token_id": END,
    "forced_eos_token_id": END,
}
SEGFORMER: Settings = {
    "num_encoder_blocks": 2,
    "depths": [1, 1],
    "sr_ratios": [2, 1],
    "hidden_sizes": [8, 16],
    "patch_sizes": [7, 3],
    "strides": [4, 2],
    "num_attention_heads": [1, 2],
    "mlp_ratios": [2, 2],
    "decoder_hidden_size": 16,
    "drop_path_rate": 0.2,
    "num_labels": CLASSES,
}
CONVNEXT: Settings = {
    "hidden_sizes": [8, 16],
    "depths": [1, 2],
    "num_stages": 2,
    "drop_path_rate": 0.2,
    "num_labels": CLASSES,
}

# What PyTorch 2.13 cannot do, by measurement. Where a padding word's embedding is also an output
# weight, the gradient leaves out the first use of it and the tangent does not.
TIED_PADDING = "padding_idx in a tied embedding"
NO_FORWARD_MODE = {
    "bert-mlm": TIED_PADDING,
    "gemma": TIED_PADDING,
    "gemma2": TIED_PADDING,
    "mixtral": "_grouped_mm",
    "bloom": "custom autograd.Function without jvp",
    "wav2vec2": "_weight_norm_interface",
    "hubert": "_weight_norm_interface",
    "wavlm": "_weight_norm_interface",
}
# These compute norms, softmax or scans in float32 whatever the type of their weights.
FLOAT32_INSIDE = frozenset(
    [
        "t5-encoder",
        "t5",
        "mt5",
        "gpt-neo",
        "gptj",
        "llama",
        "llama-sentences",
        "mistral",
        "qwen2",
        "qwen3",
        "mixtral",
        "mamba",
        "mamba2",
        "longformer",
        "funnel",
        "rwkv",
        "gemma",
        "gemma2",
        "bloom",
        "vit-eager",
    ]
)

_SHELF: tuple[Specimen, ...] = (
    sentences("bert", "attention by sdpa, dropout in it", "Bert", ENCODER),
    sentences(
        "bert-eager", "attention written out", "Bert", ENCODER | {"attn_implementation": "eager"}
    ),
    tokens("bert-tokens", "logits [batch, token, class]", "Bert", ENCODER),
    words("bert-mlm", "decoder tied with the embedding", "Bert", ENCODER, head="ForMaskedLM"),
    sentences("roberta", "positions from padding", "Roberta", ENCODER),
    sentences(
        "albert",
        "layers share their weights",
        "Albert",
        ENCODER | {"embedding_size": 8, "hidden_dropout_prob": 0.1},
    ),
    sentences(
        "deberta",
        "disentangled attention",
        "DebertaV2",
        ENCODER
        | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "max_relative_positions": 8},
    ),
    tokens("electra", "embedding projected", "Electra", ENCODER | {"embedding_size": 8}),
    sentences(
        "distilbert",
        "six names of its own",
        "DistilBert",
        TEXT
        | {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 32},
    ),
    pooled("t5-encoder", "bias of positions shared by layers", "T5EncoderModel", "T5Config", T5),
    sentences("t5", "one embedding in encoder and decoder", "T5", T5),
    sentences("mt5", "gated feed-forward part", "MT5", T5 | {"feed_forward_proj": "gated-gelu"}),
    sentences("gpt2", "classifies by the last token", "GPT2", GPT2),
    words(
        "gpt2-lm",
        "tied embedding, a linear layer stored as Conv1D",
        "GPT2",
        GPT2,
        head="LMHeadModel",
    ),
    words(
        "gpt2-lm-eager",
        "tied embedding, attention written out",
        "GPT2",
        GPT2 | {"attn_implementation": "eager"},
        head="LMHeadModel",
    ),
    words(
        "gpt-neo",
        "local and global attention",
        "GPTNeo",
        TEXT
        | {
            "hidden_size": 16,
            "num_layers": 2,
            "num_heads": 2,
            "intermediate_size": 32,
            "max_position_embeddings": 32,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 4,
        },
    ),
    words(
        "gpt-neox",
        "parallel residuals, rotary positions",
        "GPTNeoX",
        DECODER | {"hidden_dropout": 0.1},
    ),
    words(
        "gptj",
        "partial rotary positions",
        "GPTJ",
        TEXT
        | {
            "n_embd": 16,
            "n_layer": 2,
            "n_head": 2,
            "n_positions": 32,
            "rotary_dim": 4,
            "attn_pdrop": 0.1,
            "resid_pdrop": 0.1,
        },
    ),
    words("llama", "grouped queries, RMS norm", "Llama", GROUPED),
    sentences("llama-sentences", "grouped queries, last token", "Llama", GROUPED),
    words("mistral", "sliding window", "Mistral", GROUPED | {"sliding_window": 4}),
    sentences("qwen2", "biases in attention only", "Qwen2", GROUPED),
    words("qwen3", "norms of queries and keys", "Qwen3", GROUPED | {"head_dim": 8}),
    words(
        "mixtral",
        "mixture of experts, chosen by top-k",
        "Mixtral",
        GROUPED | {"num_local_experts": 3, "num_experts_per_tok": 2, "router_jitter_noise": 0.1},
    ),
    words(
        "mamba",
        "scan over time with in-place states",
        "Mamba",
        TEXT
        | {
            "hidden_size": 16,
            "state_size": 4,
            "num_hidden_layers": 2,
            "conv_kernel": 3,
            "time_step_rank": 4,
        },
        batch=unmasked_word_batch,
    ),
    words(
        "mamba2",
        "segmented scan",
        "Mamba2",
        TEXT
        | {
            "hidden_size": 16,
            "state_size": 4,
            "num_hidden_layers": 1,
            "conv_kernel": 3,
            "num_heads": 4,
            "head_dim": 8,
            "n_groups": 1,
            "chunk_size": 4,
        },
        batch=unmasked_word_batch,
    ),
    sentences(
        "bart", "encoder and decoder, tied embeddings", "Bart", BART | {"attention_dropout": 0.1}
    ),
    sentences(
        "xlnet",
        "relative attention by einsum",
        "XLNet",
        TEXT | {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32},
    ),
    sentences(
        "longformer",
        "sliding blocks by as_strided",
        "Longformer",
        ENCODER | {"attention_window": 4},
    ),
    sentences(
        "big-bird",
        "blocks of attention",
        "BigBird",
        ENCODER | {"attention_type": "original_full", "sep_token_id": END},
    ),
    sentences("mpnet", "bias of relative positions", "MPNet", ENCODER),
    sentences(
        "funnel",
        "pooling between blocks",
        "Funnel",
        TEXT
        | {
            "block_sizes": [1, 1],
            "d_model": 16,
            "n_head": 2,
            "d_head": 8,
            "d_inner": 32,
            "num_decoder_layers": 1,
        },
    ),
    sentences("fnet", "Fourier transforms, complex values", "FNet", ENCODER, unmasked_text_batch),
    words(
        "rwkv",
        "recurrence with a running maximum",
        "Rwkv",
        TEXT
        | {
            "hidden_size": 16,
            "attention_hidden_size": 16,
            "num_hidden_layers": 2,
            "intermediate_size": 32,
            "context_length": 32,
        },
        batch=unmasked_word_batch,
    ),
    words("gemma", "tied embedding, scaled", "Gemma", GROUPED | {"head_dim": 8}),
    words(
        "gemma2",
        "soft-capped logits",
        "Gemma2",
        GROUPED | {"head_dim": 8, "sliding_window": 4, "query_pre_attn_scalar": 8},
    ),
    words(
        "phi",
        "partial rotary positions, parallel block",
        "Phi",
        DECODER | {"resid_pdrop": 0.1, "embd_pdrop": 0.1},
    ),
    words(
        "opt",
        "learned positions, tied embedding",
        "OPT",
        TEXT
        | {
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "ffn_dim": 32,
            "max_position_embeddings": 32,
            "word_embed_proj_dim": 8,
        },
    ),
    words(
        "bloom",
        "linear biases of attention",
        "Bloom",
        TEXT
        | {
            "hidden_size": 16,
            "n_layer": 2,
            "n_head": 2,
            "hidden_dropout": 0.1,
            "attention_dropout": 0.1,
        },
    ),
    words(
        "falcon",
        "one key for all queries",
        "Falcon",
        TEXT
        | {
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "hidden_dropout": 0.1,
            "attention_dropout": 0.1,
        },
    ),
    sentences(
        "convbert",
        "convolution with generated kernels",
        "ConvBert",
        ENCODER | {"embedding_size": 16, "head_ratio": 1, "conv_kernel_size": 3},
    ),
    sentences(
        "squeezebert",
        "linear layers as grouped convolutions",
        "SqueezeBert",
        ENCODER
        | {
            "embedding_size": 16,
            "q_groups": 2,
            "k_groups": 2,
            "v_groups": 2,
            "post_attention_groups": 1,
            "intermediate_groups": 2,
            "output_groups": 2,
        },
    ),
    tokens(
        "modernbert",
        "alternating local attention",
        "ModernBert",
        ENCODER
        | {
            "attention_dropout": 0.1,
            "mlp_dropout": 0.1,
            "embedding_dropout": 0.1,
            "global_attn_every_n_layers": 2,
            "local_attention": 4,
            "cls_token_id": 1,
            "sep_token_id": END,
        },
    ),
    pictures("vit", "patches by a strided convolution", "ViT", PICTURE),
    pictures(
        "vit-eager",
        "patches, attention written out",
        "ViT",
        PICTURE | {"attn_implementation": "eager"},
    ),
    pictures("deit", "class and distillation tokens", "DeiT", PICTURE),
    pictures("swin", "shifted windows by roll, DropPath", "Swin", WINDOWS),
    pictures("swinv2", "cosine attention, clamped scale", "Swinv2", WINDOWS),
    pictures(
        "beit",
        "table of relative positions, layer scale, DropPath",
        "Beit",
        PICTURE | {"drop_path_rate": 0.2, "use_relative_position_bias": True},
    ),
    pictures(
        "dinov2",
        "layer scale, interpolated positions, DropPath",
        "Dinov2",
        PICTURE | {"drop_path_rate": 0.2},
    ),
    pictures(
        "convnext", "depthwise convolutions, channels last inside, DropPath", "ConvNext", CONVNEXT
    ),
    pictures("convnextv2", "norm over responses", "ConvNextV2", CONVNEXT),
    pictures(
        "resnet",
        "batch norm, in-place ReLU",
        "ResNet",
        {
            "embedding_size": 8,
            "hidden_sizes": [8, 16],
            "depths": [1, 1],
            "layer_type": "basic",
            "num_labels": CLASSES,
        },
    ),
    pictures(
        "regnet",
        "squeeze and excitation, grouped convolutions",
        "RegNet",
        {
            "embedding_size": 8,
            "hidden_sizes": [8, 16],
            "depths": [1, 1],
            "groups_width": 4,
            "num_labels": CLASSES,
        },
    ),
    pictures(
        "mobilenet-v1",
        "depthwise convolutions, ReLU6",
        "MobileNetV1",
        {"image_size": PIXELS, "depth_multiplier": 0.25, "num_labels": CLASSES},
    ),
    pictures(
        "mobilenet-v2",
        "depthwise convolutions, ReLU6",
        "MobileNetV2",
        {"image_size": PIXELS, "depth_multiplier": 0.25, "num_labels": CLASSES},
    ),
    pictures(
        "efficientnet",
        "swish, squeeze and excitation, dropped blocks",
        "EfficientNet",
        {
            "image_size": PIXELS,
            "width_coefficient": 0.25,
            "depth_coefficient": 0.1,
            "hidden_dim": 320,
            "drop_connect_rate": 0.2,
            "num_labels": CLASSES,
        },
    ),
    pictures(
        "levit",
        "batch norm after linear layers, attention that subsamples",
        "Levit",
        {
            "image_size": PIXELS,
            "hidden_sizes": [16, 16, 16],
            "num_attention_heads": [2, 2, 2],
            "depths": [1, 1, 1],
            "key_dim": [4, 4, 4],
            "mlp_ratio": [2, 2, 2],
            "attention_ratio": [1, 1, 1],
            "patch_size": 16,
            "num_labels": CLASSES,
        },
    ),
    pictures(
        "poolformer",
        "average pooling as the mixer",
        "PoolFormer",
        {
            "depths": [1, 1],
            "hidden_sizes": [8, 16],
            "num_encoder_blocks": 2,
            "patch_sizes": [7, 3],
            "strides": [4, 2],
            "padding": [2, 1],
            "drop_path_rate": 0.2,
            "num_labels": CLASSES,
        },
    ),
    pictures("segformer", "keys on a coarser grid, DropPath", "Segformer", SEGFORMER),
    transformer(
        "segformer-maps",
        "logits [batch, class, height, width]",
        "Segformer",
        "ForSemanticSegmentation",
        SEGFORMER,
        pixel_map_batch(8),
    ),
    pictures(
        "mobilevit",
        "unfolded patches among convolutions",
        "MobileViT",
        {
            "image_size": PIXELS,
            "hidden_sizes": [8, 8, 8],
            "neck_hidden_sizes": [4, 4, 8, 8, 8, 8, 16],
            "num_attention_heads": 2,
            "mlp_ratio": 2.0,
            "num_labels": CLASSES,
        },
    ),
    pictures(
        "cvt",
        "attention with convolutional projections",
        "Cvt",
        {
            "embed_dim": [8, 8, 16],
            "num_heads": [1, 1, 2],
            "depth": [1, 2, 3],
            "drop_rate": [0.1, 0.1, 0.1],
            "attention_drop_rate": [0.1, 0.1, 0.1],
            "drop_path_rate": [0.0, 0.0, 0.2],
            "mlp_ratio": [2.0, 2.0, 2.0],
            "num_labels": CLASSES,
        },
    ),
    pictures(
        "pvt",
        "spatial reduction of keys, DropPath",
        "Pvt",
        {
            "image_size": PIXELS,
            "num_encoder_blocks": 2,
            "depths": [1, 1],
            "sequence_reduction_ratios": [2, 1],
            "hidden_sizes": [8, 16],
            "patch_sizes": [4, 2],
            "strides": [4, 2],
            "num_attention_heads": [1, 2],
            "mlp_ratios": [2, 2],
            "drop_path_rate": 0.2,
            "hidden_dropout_prob": 0.1,
            "num_labels": CLASSES,
        },
    ),
    pictures(
        "focalnet",
        "focal modulation",
        "FocalNet",
        {
            "image_size": PIXELS,
            "patch_size": 4,
            "embed_dim": 8,
            "hidden_sizes": [8, 16],
            "depths": [1, 1],
            "focal_levels": [2, 2],
            "focal_windows": [3, 3],
            "drop_path_rate": 0.2,
            "num_labels": CLASSES,
        },
    ),
    transformer(
        "wav2vec2",
        "weight norm on a convolution, group norm",
        "Wav2Vec2",
        "ForSequenceClassification",
        SOUND,
        sound_batch,
    ),
    transformer(
        "hubert",
        "weight norm on a convolution, weighted sum of layers",
        "Hubert",
        "ForSequenceClassification",
        SOUND | {"use_weighted_layer_sum": True, "layerdrop": 0.0},
        sound_batch,
    ),
    transformer(
        "wavlm",
        "gated bias of relative positions",
        "WavLM",
        "ForSequenceClassification",
        SOUND | {"num_buckets": 8, "max_bucket_distance": 16},
        sound_batch,
    ),
    transformer(
        "ast",
        "patches of a spectrogram that overlap",
        "AST",
        "ForAudioClassification",
        {
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "patch_size": 4,
            "frequency_stride": 3,
            "time_stride": 3,
            "max_length": 16,
            "num_mel_bins": 8,
            "hidden_dropout_prob": 0.1,
            "num_labels": CLASSES,
        },
        spectrum_batch("input_values", 16, 8),
    ),
    transformer(
        "whisper",
        "frozen positions, convolutions over time",
        "Whisper",
        "ForAudioClassification",
        {
            "vocab_size": VOCABULARY,
            "d_model": 16,
            "encoder_layers": 2,
            "decoder_layers": 1,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 32,
            "decoder_ffn_dim": 32,
            "num_mel_bins": 8,
            "max_source_positions": 10,
            "dropout": 0.1,
            "attention_dropout": 0.1,
            "classifier_proj_size": 8,
            "pad_token_id": PAD,
            "bos_token_id": 1,
            "eos_token_id": END,
            "decoder_start_token_id": 1,
            "num_labels": CLASSES,
        },
        spectrum_batch("input_features", 8, 20),
    ),
)

TRANSFORMERS: tuple[Specimen, ...] = tuple(
    replace(
        specimen,
        float64=specimen.name not in FLOAT32_INSIDE,
        no_forward_mode=NO_FORWARD_MODE.get(specimen.name, ""),
    )
    for specimen in _SHELF
)
