"""Pictures in the look of an instance (Casanova et al., "Instance-Conditioned GAN", NeurIPS 2021).

`generation`: pictures from an instance's feature. `extractors`: the feature of a photo. `stored`: files of features.
`neighbours`: which instances are alike.
"""
