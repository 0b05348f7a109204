"""Answers to section 5: conv_sizes, ConvDecoder, fixed_feature_map."""

from __future__ import annotations

from bank.answers import Answer, edited

# --- 5.1 conv_sizes ---------------------------------------------------------------------------------

SIZES = """
def conv_sizes(layers, size):
    first = size
    sizes = []
    for kind, kernel, stride, padding in layers:
        if kind == "conv":
            size = (size + 2 * padding - kernel) // stride + 1
        else:
            size = (size - 1) * stride - 2 * padding + kernel
        sizes.append(size)
    return sizes
"""

RIGHT_SIZES = [
    Answer("conv_sizes", "loop", SIZES),
    Answer(
        "conv_sizes",
        "recursive",
        """
def conv_sizes(layers, size):
    if not layers:
        return []
    (kind, k, s, p), *rest = layers
    n = int((size + 2 * p - k) / s + 1) if kind == "conv" else s * (size - 1) + k - 2 * p
    return [n] + conv_sizes(rest, n)
""",
    ),
    Answer(
        "conv_sizes",
        "asking torch's layers, a tuple returned",
        """
def conv_sizes(layers, size):
    x, sizes = torch.zeros(1, 1, size, size), []
    for kind, *geometry in layers:
        layer = nn.Conv2d if kind == "conv" else nn.ConvTranspose2d
        x = layer(1, 1, *geometry)(x)
        sizes.append(x.shape[-1])
    return tuple(sizes)
""",
    ),
    Answer(
        "conv_sizes",
        "accumulated, floor of a fraction, NumPy integers",
        """
from itertools import accumulate

def conv_sizes(layers, size):
    def after(n, layer):
        kind, k, s, p = layer
        if kind == "transposed":
            return np.int64((n - 1) * s + k - 2 * p)
        return np.int64(math.floor((n - k + 2 * p) / s + 1))
    return np.array(list(accumulate(layers, after, initial=size))[1:])
""",
    ),
]

_CONV = "(size + 2 * padding - kernel) // stride + 1"
_TRANSPOSED = "(size - 1) * stride - 2 * padding + kernel"

WRONG_SIZES = edited(
    "conv_sizes",
    SIZES,
    [
        (
            "2 in the stride's place",
            "(size - 1) * stride",
            "size * stride - 2",
            "a 2 stands where the stride",
        ),
        (
            "the padding counted in strides",
            "(size - 1) * stride - 2 * padding",
            "(size - 1 - padding) * stride",
            "counted in strides",
        ),
        (
            "the padding outside the division",
            "(size + 2 * padding - kernel) // stride",
            "(size - kernel) // stride + padding",
            "outside the division",
        ),
        (
            "only the kernel divided",
            "(size + 2 * padding - kernel) // stride + 1",
            "size + 2 * padding - kernel // stride + 1",
            "use brackets",
        ),
        (
            "divided by parts",
            "(size + 2 * padding - kernel) // stride + 1",
            "size // stride + (2 * padding - kernel) // stride + 1",
            "divide their sum",
        ),
        ("padding on one side", "size + 2 * padding", "size + padding", "The padding counts twice"),
        (
            "padding on one side of a transposed one",
            "stride - 2 * padding",
            "stride - padding",
            "Transposed: the padding",
        ),
        (
            "rounded up",
            _CONV,
            "math.ceil((size + 2 * padding - kernel) / stride) + 1",
            "round down, not up",
        ),
        ("not rounded", "//", "/", "round down to a whole"),
        ("the first window forgotten", "// stride + 1", "// stride", "first window is missing"),
        (
            "the first window divided too",
            _CONV,
            "(size + 2 * padding - kernel + 1) // stride",
            "what is left after",
        ),
        (
            "the stride ignored",
            "stride, padding in layers:",
            "_, padding in layers:\n        stride = 1",
            "stride is left out",
        ),
        ("transposed like a convolution", _TRANSPOSED, _CONV, "sizes of a convolution"),
        (
            "rounded to the nearest",
            _CONV,
            "round((size + 2 * padding - kernel) / stride) + 1",
            "to the nearest",
        ),
        ("no padding", "size + 2 * padding", "size", "The padding is left out"),
        ("padding taken off", "size + 2", "size - 2", "added on both sides"),
        (
            "no padding in a transposed one",
            "- 2 * padding + kernel",
            "+ kernel",
            "Transposed: the padding is left out",
        ),
        (
            "kernel and stride in the wrong order",
            "kernel, stride, padding in",
            "stride, kernel, padding in",
            "Kernel and stride",
        ),
        ("rules swapped", '"conv"', '"transposed"', "two rules are swapped"),
        ("every layer transposed", "if kind", "if False and kind", "makes the side smaller"),
        (
            "the kind misspelt",
            '== "conv"',
            '!= "transpose"',
            "fault: in a mixture each layer starts",
        ),
        (
            "stride 2 assumed",
            "stride, padding in layers:",
            "_, padding in layers:\n        stride = 2",
            "taken to be 2",
        ),
        (
            "the lesson's layers built in",
            "kernel, stride, padding in layers:",
            "*_ in layers:\n        kernel, stride, padding = (3 if kind == 'conv' else 4), 2, 1",
            "are built in",
        ),
        ("return inside the loop", "return sizes", "    return sizes", "inside the loop"),
        ("backwards", "return sizes", "return sizes[::-1]", "runs backwards"),
        ("sizes that go in", "return sizes", "return [first, *sizes[:-1]]", "enters each layer"),
        ("n strides between n places", "(size - 1) * stride", "size * stride", "n - 1 strides"),
        ("the kernel less one", _TRANSPOSED, f"{_TRANSPOSED} - 1", "whole width"),
        ("padding added to a transposed one", "stride - 2", "stride + 2", "cut off, not added"),
        ("the starting size listed", "sizes = []", "sizes = [size]", "starting size"),
        ("the last size alone", "return sizes", "return size", "Only the last"),
        (
            "each layer from the first size",
            'if kind == "conv"',
            'size = first\n        if kind == "conv"',
            "Each layer starts",
        ),
        (
            "halved and doubled",
            f"{_CONV}\n        else:\n            size = {_TRANSPOSED}",
            "size // stride\n        else:\n            size = size * stride",
            "only divided or multiplied by the stride",
        ),
        ("same padding always", _CONV, "(size - 1) // stride + 1", "and rounded up"),
        ("pairs of sizes", "append(size)", "append((size, size))", "stands there twice"),
        (
            "kept from before",
            "size):\n    first = size\n    sizes = []",
            "size, sizes=[]):\n    first = size",
            "from before",
        ),
        ("nothing returned", "return sizes", "return", "returned None"),
    ],
)

# --- 5.2 ConvDecoder --------------------------------------------------------------------------------

DECODER = """
class ConvDecoder(nn.Module):
    def __init__(self, latent_dim=20):
        super().__init__()
        self.fc_decode = nn.Linear(latent_dim, 64 * 7 * 7)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1),
        )

    def forward(self, z):
        hidden = self.fc_decode(z).view(-1, 64, 7, 7)
        return self.decoder(hidden)
"""

DECODERS = [
    Answer("ConvDecoder", "nn.Sequential", DECODER),
    Answer(
        "ConvDecoder",
        "single layers, functional activations",
        """
class ConvDecoder(nn.Module):
    def __init__(self, latent_dim):
        super().__init__()
        self.up2 = nn.ConvTranspose2d(32, 1, kernel_size=4, stride=2, padding=1)
        self.up1 = nn.ConvTranspose2d(64, 32, kernel_size=4, stride=2, padding=1)
        self.linear = nn.Linear(latent_dim, 3136)

    def forward(self, z):
        x = self.linear(z).reshape(z.size(0), 64, 7, 7)
        return self.up2(self.up1(x).clamp(min=0))
""",
    ),
    Answer(
        "ConvDecoder",
        "a lazy layer and Unflatten",
        """
class ConvDecoder(nn.Sequential):
    def __init__(self, latent_dim=20):
        super().__init__(
            nn.LazyLinear(64 * 7 * 7), nn.Unflatten(1, (64, 7, 7)),
            nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(32, 1, 4, 2, 1),
        )
""",
    ),
    Answer(
        "ConvDecoder",
        "layers in an nn.ModuleList, a further keyword, the first of them apart",
        """
class ConvDecoder(nn.Module):
    def __init__(self, latent_dim=20, channels=(64, 32, 1), activation=torch.relu):
        super().__init__()
        self.activation = activation
        self.first = nn.Linear(latent_dim, channels[0] * 49)
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, 2, 1) for a, b in zip(channels, channels[1:])
        )

    def forward(self, z):
        h = self.first(z)
        h = self.ups[0](h.reshape(len(h), -1, 7, 7))
        for up in self.ups[1:]:
            h = up(self.activation(h))
        return h
""",
    ),
]
DECODERS += [
    Answer("ConvDecoder", "no biases", DECODER.replace("padding=1)", "padding=1, bias=False)")),
    Answer(
        "ConvDecoder",
        "parameters of its own, the first stored as (in, out)",
        """
class ConvDecoder(nn.Module):
    def __init__(self, latent_dim=20):
        super().__init__()
        self.w0 = nn.Parameter(torch.randn(latent_dim, 3136))
        self.w1, self.b1 = nn.Parameter(torch.randn(64, 32, 4, 4)), nn.Parameter(torch.zeros(32))
        self.w2, self.b2 = nn.Parameter(torch.randn(32, 1, 4, 4)), nn.Parameter(torch.zeros(1))
        self.b0 = nn.Parameter(torch.zeros(1, 3136))

    def forward(self, z):
        maps = (z @ self.w0 + self.b0).unflatten(1, (64, 7, 7))
        maps = F.conv_transpose2d(maps, self.w1, self.b1, stride=2, padding=1).clamp_min(0)
        return F.conv_transpose2d(maps, self.w2, self.b2, 2, 1)
""",
    ),
]

_FLAT = "self.fc_decode(z)"
_HIDDEN = f"{_FLAT}.view(-1, 64, 7, 7)"
_OUT = "return self.decoder(hidden)"
_LAST = "nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1),"

WRONG_DECODERS = [
    *edited(
        "ConvDecoder",
        DECODER,
        [
            ("sigmoid at the end", _LAST, f"{_LAST} nn.Sigmoid()", "a sigmoid on the logits"),
            ("ReLU at the end", _LAST, f"{_LAST} nn.ReLU()", "a ReLU on the logits"),
            ("tanh at the end", _LAST, f"{_LAST} nn.Tanh()", "a tanh on the logits"),
            ("a ReLU after the linear layer", _FLAT, f"F.relu({_FLAT})", "After layer 1 of 3 stands a ReLU"),
            ("no ReLU between the convolutions", "nn.ReLU()", "nn.Identity()", "ReLU after layer 2 of 3"),
            (
                "height and width of the map swapped",
                _HIDDEN,
                f"{_HIDDEN}.transpose(2, 3)",
                "Height and width of the maps",
            ),
            (
                "channels read last",
                "view(-1, 64, 7, 7)",
                "view(-1, 7, 7, 64).permute(0, 3, 1, 2)",
                "Channels are read last; ",
            ),
            (
                "channels read last, then swapped with the height",
                "view(-1, 64, 7, 7)",
                "view(-1, 7, 7, 64).transpose(1, 3)",
                "swapped too",
            ),
            ("image transposed", _OUT, f"{_OUT}.transpose(2, 3)", "Rows and columns"),
            (
                "sigmoid after the linear layer",
                _FLAT,
                f"{_FLAT}.sigmoid()",
                "After layer 1 of 3 stands a sigmoid",
            ),
            (
                "ReLU before the linear layer too",
                "fc_decode(z)",
                "fc_decode(z.relu())",
                "a ReLU before the first layer",
            ),
            ("leaky ReLU", "nn.ReLU()", "nn.LeakyReLU(0.2)", "After layer 2 of 3 stands a leaky ReLU (0.2)"),
            ("dropout", "nn.ReLU()", "nn.ReLU(), nn.Dropout2d(0.3)", "is there dropout"),
            ("logits clamped", _OUT, f"{_OUT}.clamp(-10, 10)", "a clamp to -10 and 10"),
            (
                "the latent size is the lesson's",
                "(latent_dim, 64",
                "(20, 64",
                "With one image and latent_dim = 1",
            ),
            ("noise on the codes", "fc_decode(z)", "fc_decode(z + torch.randn_like(z))", "does it draw"),
            (
                "upsampling and convolutions",
                "nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1)",
                "nn.Upsample(scale_factor=2), nn.Conv2d(32, 1, 3, padding=1)",
                "An upsampling before it",
            ),
            (
                "the last layer made in every call",
                _OUT,
                "return nn.ConvTranspose2d(32, 1, 4, 2, 1)(self.decoder[:2](hidden))",
                "Only 2 of 3 layers of the model",
            ),
            ("convolutions instead", "nn.ConvTranspose2d", "nn.Conv2d", "in place of a transposed one"),
            ("latent code detached", "fc_decode(z)", "fc_decode(z.detach())", "is something detached"),
            (
                "forward under no_grad",
                "def forward",
                "@torch.no_grad()\n    def forward",
                "is something detached",
            ),
            ("codes changed in place", "hidden =", "z.clamp_(-1, 1)\n        hidden =", "given in place"),
            (
                "channels fixed to one batch",
                ".view(-1, 64, 7, 7)",
                ".view(64, -1, 7, 7).transpose(0, 1)",
                "the other images of the batch",
            ),
            ("logits and map returned", _OUT, f"{_OUT}, hidden", "return one tensor"),
            ("flat image", _OUT, f"{_OUT}.flatten(1)", "no images"),
            ("no channel", _OUT, f"{_OUT}.squeeze(1)", "channel is missing"),
            ("axes of length one dropped", _OUT, f"{_OUT}.squeeze()", "expected (1, 1, 28, 28)"),
            ("flat probabilities", _OUT, f"{_OUT}.flatten(1).sigmoid()", "a sigmoid on the logits"),
            ("no place for the batch", "view(-1, 64", "view(64", "or left out"),
            ("batch size fixed", "view(-1", "view(5", "number of images written"),
            ("latent size fixed", "nn.Linear(latent_dim", "nn.Linear(3", "Your code stopped"),
            ("no reshape", ".view(-1, 64, 7, 7)", "", "Your code stopped"),
            (
                "kernel 3 with output padding",
                "4, stride=2, padding=1",
                "3, 2, 1, output_padding=1",
                "kernel 3, stride 2, padding 1",
            ),
            ("16 channels in between", "32", "16", "give 3136, 16, 1 numbers"),
            ("128 maps inside", "64", "128", "holds: inside stand maps"),
            ("decode defined, forward not", "def forward", "def decode", "no method `forward`"),
            ("nothing returned", "return ", "x_logits = ", "returned None"),
        ],
    ),
    Answer(
        "ConvDecoder",
        "the ReLU before the first transposed convolution, not after it",
        DECODER.replace(_FLAT, f"F.relu({_FLAT})").replace("nn.ReLU()", "nn.Identity()"),
        "The ReLU after layer 2 of 3 is missing",
    ),
    Answer(
        "ConvDecoder",
        "sigmoids inside",
        DECODER.replace(_FLAT, f"{_FLAT}.sigmoid()").replace("nn.ReLU", "nn.Sigmoid"),
        "After layer 2 of 3 stands a sigmoid, not a ReLU",
    ),
    Answer(
        "ConvDecoder",
        "layers in a plain list",
        DECODER.replace("nn.Sequential(", "(").replace("self.decoder(", "nn.Sequential(*self.decoder)("),
        "plain list",
    ),
]

# --- 5.3 fixed_feature_map --------------------------------------------------------------------------

MAP = """
def fixed_feature_map(hidden, channels, height, width):
    return hidden.view(-1, height, width, channels).permute(0, 3, 1, 2)
"""

MAPS = [
    Answer("fixed_feature_map", "permute", MAP),
    Answer(
        "fixed_feature_map",
        "two transposes",
        """
def fixed_feature_map(hidden, channels, height, width):
    last = hidden.reshape(-1, height, width, channels)
    return last.transpose(1, 3).transpose(2, 3).contiguous()
""",
    ),
    Answer(
        "fixed_feature_map",
        "places first, then rows and columns",
        """
def fixed_feature_map(hidden, channels, height, width):
    return hidden.view(len(hidden), -1, channels).transpose(1, 2).reshape(-1, channels, height, width)
""",
    ),
    Answer(
        "fixed_feature_map",
        "einsum",
        """
def fixed_feature_map(hidden, channels, height, width):
    return torch.einsum("nhwc->nchw", hidden.unflatten(1, (height, width, channels)))
""",
    ),
    Answer(
        "fixed_feature_map",
        "every channel-th number, in a loop",
        """
def fixed_feature_map(hidden, channels, height, width):
    return torch.stack([hidden[:, c::channels].view(-1, height, width) for c in range(channels)], dim=1)
""",
    ),
    Answer(
        "fixed_feature_map",
        "NumPy, one number at a time, float64",
        """
def fixed_feature_map(hidden, channels=64, height=7, width=7):
    flat = hidden.numpy()
    maps = np.zeros((len(flat), channels, height, width))
    for c, i, j in np.ndindex(channels, height, width):
        maps[:, c, i, j] = flat[:, (i * width + j) * channels + c]
    return torch.from_numpy(maps)
""",
    ),
]

WRONG_MAPS = edited(
    "fixed_feature_map",
    MAP,
    [
        (
            "the images of a batch mixed",
            "hidden.view(-1, height, width, channels).permute(0, 3, 1, 2)",
            "hidden.reshape(-1, channels).T.reshape(-1, channels, height, width)",
            "images of a batch are mixed",
        ),
        (
            "images last",
            "hidden.view(-1, height, width, channels).permute(0, 3, 1, 2)",
            "hidden.reshape(height, width, channels, -1).permute(3, 2, 0, 1)",
            "taken for the last axis",
        ),
        (
            "images for channels",
            "permute(0, 3, 1, 2)",
            "permute(3, 0, 1, 2)",
            "Images and channels have changed",
        ),
        ("whole numbers alone", "2)", "2).long()", "cut off to a whole number"),
        ("width before height", "permute(0, 3, 1, 2)", "transpose(1, 3)", "still swapped"),
        (
            "axes renamed, nothing moved",
            "height, width, channels).permute(0, 3, 1, 2)",
            "channels, height, width)",
            "one piece of the list",
        ),
        ("channels left last", ".permute(0, 3, 1, 2)", "", "still stand last"),
        (
            "channels read first and put last",
            "height, width, channels).permute(0, 3, 1, 2)",
            "channels, height, width).permute(0, 2, 3, 1)",
            "put in the order rows, columns, channels",
        ),
        (
            "channels read first, put last, and renamed",
            "height, width, channels).permute(0, 3, 1, 2)",
            "channels, height * width).transpose(1, 2).reshape(-1, channels, height, width)",
            "A reshape at the end moves no number back",
        ),
        (
            "list read column by column",
            "height, width, channels).permute(0, 3, 1, 2)",
            "width, height, channels).permute(0, 3, 2, 1)",
            "runs through rows first",
        ),
        (
            "the ported code unchanged",
            "height, width, channels).permute(0, 3, 1, 2)",
            "width, height, channels).transpose(1, 3)",
            "read column by column",
        ),
        (
            "swapped, then renamed",
            "permute(0, 3, 1, 2)",
            "transpose(1, 3).reshape(-1, channels, height, width)",
            "not put them back in order",
        ),
        (
            "rows before channels",
            "permute(0, 3, 1, 2)",
            "transpose(2, 3)",
            "rows of each map and its channels",
        ),
        ("batch size fixed", "view(-1", "view(5", "is invalid for input"),
        ("batch of one dropped", "2)", "2).squeeze(0)", "length 1 is missing"),
        ("axes of length one dropped", "2)", "2).squeeze(1)", "length 1 is missing"),
        ("a list of maps", "2)", "2).unbind()", "return one tensor"),
        (
            "written back into the list",
            "return hidden.view(-1, height, width, channels).permute(0, 3, 1, 2)",
            "hidden.copy_(hidden.view(-1, height, width, channels).permute(0, 3, 1, 2).flatten(1))\n"
            "    return hidden.view(-1, channels, height, width)",
            "given in place",
        ),
        ("left flat", "2)", "2).flatten(1)", "still in a flat"),
        (
            "sizes of the lesson fixed",
            "view(-1, height, width, channels)",
            "view(-1, 7, 7, 64)",
            "is invalid for input",
        ),
        ("channels reversed", "2)", "2).flip(1)", "along the second axis is turned round"),
        ("upside down", "2)", "2).flip(2)", "along the third axis is turned round"),
        ("a ReLU", "hidden.view", "hidden.relu().view", "Negative numbers have become 0"),
        ("the first image alone", "hidden.view", "hidden[:1].view", "Only the first entry along the first"),
        ("float32 throughout", "hidden.view", "hidden.float().double().half().view", "half precision"),
        ("nothing returned", "return ", "maps = ", "returned None"),
    ],
)

RIGHT = RIGHT_SIZES + DECODERS + MAPS
WRONG_SIZES += [
    Answer(
        "conv_sizes",
        "the list of layers used up",
        """
def conv_sizes(layers, size):
    sizes = []
    while layers:
        kind, kernel, stride, padding = layers.pop(0)
        if kind == "conv":
            size = (size + 2 * padding - kernel) // stride + 1
        else:
            size = (size - 1) * stride - 2 * padding + kernel
        sizes.append(size)
    return sizes
""",
        "work on a copy",
    )
]

WRONG_SIZES += edited(
    "conv_sizes",
    SIZES,
    [
        (
            "the padding that keeps sizes",
            "padding in layers:",
            "_ in layers:\n        padding = (kernel - 1) // 2",
            "worked out",
        )
    ],
)

WRONG = WRONG_SIZES + WRONG_DECODERS + WRONG_MAPS
