"""Catalogue: which files each data set consists of, where they come from and where they belong.

The layouts below data.root are those that users have from CoOp's DATASETS.md, FedBN's README and
torchvision. Addresses and md5 sums of archives are torchvision's, whose own folders are named
differently. A new data set needs a line in `ORIGINS`; its reader knows nothing of it.
"""

from collections.abc import Iterable

from pfedmma_dist.data.download.parts import Archive, Origin, Piece, Sizes

COOP = "CoOp's DATASETS.md (github.com/KaiyangZhou/CoOp)"
FEDBN = "FedBN's README (github.com/med-air/FedBN)"
DOMAINNET_PAGE = "http://ai.bu.edu/M3SDA (take the cleaned version)"
DOMAINS = ("clipart", "infograph", "painting", "quickdraw", "real", "sketch")
DOMAINNET = tuple(
    Piece("the .zip of each, unpacked", "the page above", f"DomainNet/{domain}")
    for domain in DOMAINS
)
OXFORD = "https://www.robots.ox.ac.uk/~vgg/data"


def _published(home: str, file: str) -> Piece:
    """Return the split file that CoOp publishes; SUN397's folder goes by two names."""
    return Piece(f"{file}, the published split", COOP, f"{home}/{file}", f"*/{file}")


def _cifar(classes: int, folder: str, md5: str, size: str) -> Origin:
    """Return the origin of one of the two; `folder` is torchvision's."""
    site = "https://www.cs.toronto.edu/~kriz"
    archive = Archive(
        f"{site}/cifar-{classes}-python.tar.gz", md5, size, {folder: f"cifar-{classes}/{folder}"}
    )
    return Origin(f"{site}/cifar.html", (archive,), sizes=Sizes(classes, 50000, 10000))


def _kind(page: str, home: str, images: str, classes: int, count: int) -> Origin:
    """Return the origin of another kind of ImageNet's images, which are for testing alone."""
    names = Piece("classnames.txt, CLIP's class names", COOP, f"{home}/classnames.txt")
    found = Piece("its archive, unpacked", "the page above", f"{home}/{images}")
    return Origin(page, pieces=(found, names), sizes=Sizes(classes, 0, count))


ORIGINS: dict[str, Origin] = {
    "caltech101": Origin(
        "https://data.caltech.edu/records/mzrjq-6wc02",
        (
            Archive(
                "https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",
                "3138e1922a9193bfa496528edbbc45d0",
                "137 MB",
                {"101_ObjectCategories": "caltech-101/101_ObjectCategories"},
                "caltech-101/101_ObjectCategories.tar.gz",
            ),
        ),
        split=_published("caltech-101", "split_zhou_Caltech101.json"),
        sizes=Sizes(100, 4128, 2465),
    ),
    "oxford_pets": Origin(
        f"{OXFORD}/pets",
        (
            Archive(
                f"{OXFORD}/pets/data/images.tar.gz",
                "5c4f3ee8e5d25df40f4fd59a7f44e54c",
                "792 MB",
                {"images": "oxford_pets/images"},
            ),
            Archive(
                f"{OXFORD}/pets/data/annotations.tar.gz",
                "95a8c909bbe2e81eed6a22bccdf3f68f",
                "19 MB",
                {"annotations": "oxford_pets/annotations"},
            ),
        ),
        split=_published("oxford_pets", "split_zhou_OxfordPets.json"),
        sizes=Sizes(37, 2944, 3669),
    ),
    "oxford_flowers": Origin(
        f"{OXFORD}/flowers/102",
        (
            Archive(
                f"{OXFORD}/flowers/102/102flowers.tgz",
                "52808999861908f626f3c1f4e79d11fa",
                "345 MB",
                {"jpg": "oxford_flowers/jpg"},
            ),
            Archive(
                f"{OXFORD}/flowers/102/imagelabels.mat",
                "e0620be6f572b9609742df49c70aed4d",
                "1 kB",
                {"": "oxford_flowers/imagelabels.mat"},
            ),
        ),
        (Piece("cat_to_name.json, the class names", COOP, "oxford_flowers/cat_to_name.json"),),
        split=_published("oxford_flowers", "split_zhou_OxfordFlowers.json"),
        sizes=Sizes(102, 4093, 2463),
    ),
    "food101": Origin(
        "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101",
        (
            Archive(
                "http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",
                "85eeb15f3717b99a5da872d97d918f87",
                "5.0 GB",
                {"food-101/images": "food-101/images", "food-101/meta": "food-101/meta"},
            ),
        ),
        split=_published("food-101", "split_zhou_Food101.json"),
        sizes=Sizes(101, 50500, 30300),
    ),
    "dtd": Origin(
        f"{OXFORD}/dtd",
        (
            Archive(
                f"{OXFORD}/dtd/download/dtd-r1.0.1.tar.gz",
                "fff73e5086ae6bdbea199a49dfb8a4c1",
                "625 MB",
                {"dtd/images": "dtd/images", "dtd/labels": "dtd/labels"},
            ),
        ),
        split=_published("dtd", "split_zhou_DescribableTextures.json"),
        sizes=Sizes(47, 2820, 1692),
    ),
    "sun397": Origin(
        "https://vision.princeton.edu/projects/2010/SUN",
        (
            Archive(
                "http://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz",
                "8ca2778205c41d23104230ba66911c7a",
                "39 GB",
                {"SUN397": "sun397/SUN397"},
            ),
        ),
        split=_published("sun397", "split_zhou_SUN397.json"),
        sizes=Sizes(397, 15880, 19850),
    ),
    "ucf101": Origin(
        "https://www.crcv.ucf.edu/data/UCF101.php",
        pieces=(
            Piece(
                "UCF-101-midframes.zip, the middle frames of the videos, unpacked",
                COOP,
                "ucf101/UCF-101-midframes",
            ),
        ),
        split=_published("ucf101", "split_zhou_UCF101.json"),
        sizes=Sizes(101, 7639, 3783),
    ),
    "eurosat": Origin(
        "https://github.com/phelber/EuroSAT",
        (
            Archive(
                "https://huggingface.co/datasets/torchgeo/eurosat/resolve/"
                "c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip",
                "c8fa014336c82ac7804f0398fcb19387",
                "94 MB",
                {"2750": "eurosat/2750"},
            ),
        ),
        split=_published("eurosat", "split_zhou_EuroSAT.json"),
        sizes=Sizes(10, 13500, 8100),
    ),
    "fgvc_aircraft": Origin(
        f"{OXFORD}/fgvc-aircraft",
        (
            Archive(
                f"{OXFORD}/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz",
                None,
                "2.8 GB",
                {
                    f"fgvc-aircraft-2013b/data/{part}": f"fgvc_aircraft/{part}"
                    for part in (
                        "images",
                        "variants.txt",
                        "images_variant_train.txt",
                        "images_variant_val.txt",
                        "images_variant_test.txt",
                    )
                },
            ),
        ),
        sizes=Sizes(100, 3334, 3333),
    ),
    "stanford_cars": Origin(
        "https://ai.stanford.edu/~jkrause/cars/car_dataset.html (dead links; issue 7545 of "
        "pytorch/vision names copies)",
        pieces=(
            Piece("cars_train.tgz, unpacked", COOP, "stanford_cars/cars_train"),
            Piece("cars_test.tgz, unpacked", COOP, "stanford_cars/cars_test"),
            Piece("car_devkit.tgz, unpacked", COOP, "stanford_cars/devkit"),
            Piece(
                "cars_test_annos_withlabels.mat",
                COOP,
                "stanford_cars/cars_test_annos_withlabels.mat",
            ),
        ),
        split=_published("stanford_cars", "split_zhou_StanfordCars.json"),
        sizes=Sizes(196, 6509, 8041),
    ),
    "imagenet": Origin(
        "https://image-net.org (ILSVRC 2012, after registration)",
        pieces=(
            Piece(
                "ILSVRC2012_img_train, a folder per class",
                "the page above",
                "imagenet/images/train",
            ),
            Piece(
                "ILSVRC2012_img_val, a folder per class", "the page above", "imagenet/images/val"
            ),
            Piece("classnames.txt, CLIP's class names", COOP, "imagenet/classnames.txt"),
        ),
        sizes=Sizes(1000, 1281167, 50000),
    ),
    "imagenet_v2": _kind(
        "https://github.com/modestyachts/ImageNetV2 (matched-frequency)",
        "imagenetv2",
        "imagenetv2-matched-frequency-format-val",
        1000,
        10000,
    ),
    "imagenet_sketch": _kind(
        "https://github.com/HaohanWang/ImageNet-Sketch", "imagenet-sketch", "images", 1000, 50889
    ),
    "imagenet_a": _kind(
        "https://github.com/hendrycks/natural-adv-examples",
        "imagenet-adversarial",
        "imagenet-a",
        200,
        7500,
    ),
    "imagenet_r": _kind(
        "https://github.com/hendrycks/imagenet-r", "imagenet-rendition", "imagenet-r", 200, 30000
    ),
    "cifar10": _cifar(10, "cifar-10-batches-py", "c58f30108f718f92721af3b95e74349a", "170 MB"),
    "cifar100": _cifar(100, "cifar-100-python", "eb9058c3a382ffc7106e4002c42a8d85", "169 MB"),
    "domainnet": Origin(
        DOMAINNET_PAGE,
        pieces=(
            *(
                Piece(
                    "domainnet_dataset.zip: lists of 10 classes",
                    FEDBN,
                    f"DomainNet/{domain}_{part}.pkl",
                )
                for domain in DOMAINS
                for part in ("train", "test")
            ),
            *DOMAINNET,
        ),
    ),
    "domainnet345": Origin(
        DOMAINNET_PAGE,
        pieces=(
            *(
                Piece(
                    "the lists of each domain",
                    "the page above",
                    f"DomainNet/{domain}_{part}.txt",
                )
                for domain in DOMAINS
                for part in ("train", "test")
            ),
            *DOMAINNET,
        ),
        sizes=Sizes(345, 409832, 176743),
    ),
    "office_caltech10": Origin(
        "https://github.com/med-air/FedBN",
        pieces=(Piece("office_caltech_10_dataset.zip, unpacked", FEDBN, "office_caltech_10"),),
    ),
    "pacs": Origin(
        "https://domaingeneralization.github.io",
        pieces=tuple(
            Piece("a folder of images for each domain", "the page above", f"pacs/{domain}")
            for domain in ("art_painting", "cartoon", "photo", "sketch")
        ),
    ),
    "office_home": Origin(
        "https://www.hemanthdv.org/officeHomeDataset.html",
        pieces=tuple(
            Piece("a folder of images for each domain", "the page above", f"office_home/{domain}")
            for domain in ("Art", "Clipart", "Product", "Real World")
        ),
    ),
}
"""data.name -> origin. Sizes are those of CoOp (IJCV 2022) and of the data sets' own pages."""


def manual(words: str, names: Iterable[str]) -> str:
    """Return the words of a command, and of each data set what can be fetched of it."""
    lines = [words, "data sets, and what --download fetches of them:"]
    for name in names:
        origin = ORIGINS.get(name)
        sizes = [archive.size for archive in origin.archives] if origin else []
        lines.append(f"  {name:<18}{' + '.join(sizes) or 'nothing'}")
    return "\n".join(lines) + "\n"
