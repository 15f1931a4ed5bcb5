"""A distributed simulator for personalized federated fine-tuning of CLIP.

Letters used in shape comments throughout the package:

    K  clients in all               G  clients of one cohort, trained in lockstep
    B  images per client and step   N  images or sequences, leading axes flattened
    C  classes                      T  tokens of an image (197 for ViT-B/16)
    L  tokens of a text             W  width of a tower (768 image, 512 text)
    D  joint width of the towers    R  rank of an adapter
    P  private numbers of a client  S  shared numbers, those that cross the network
"""

__version__ = "0.1.0"
