"""The works that a methods text cites."""

REFERENCES = {
    "Abraham et al. 2014": "Abraham A, Pedregosa F, Eickenberg M, et al. Machine learning for neuroimaging with "
    "scikit-learn. Frontiers in Neuroinformatics 8:14, 2014. doi:10.3389/fninf.2014.00014",
    "Baker et al. 2024": "Baker BT, Calhoun VD, Plis SM. Spectral introspection identifies group training dynamics "
    "in deep neural networks for neuroimaging. arXiv:2406.11825, 2024.",
    "Benjamini and Hochberg 1995": "Benjamini Y, Hochberg Y. Controlling the false discovery rate: a practical and "
    "powerful approach to multiple testing. Journal of the Royal Statistical Society B 57:289-300, 1995. "
    "doi:10.1111/j.2517-6161.1995.tb02031.x",
    "Benjamini and Yekutieli 2001": "Benjamini Y, Yekutieli D. The control of the false discovery rate in multiple "
    "testing under dependency. Annals of Statistics 29:1165-1188, 2001. doi:10.1214/aos/1013699998",
    "Fischl 2012": "Fischl B. FreeSurfer. NeuroImage 62:774-781, 2012. doi:10.1016/j.neuroimage.2012.01.021",
    "Greenhouse and Geisser 1959": "Greenhouse SW, Geisser S. On methods in the analysis of profile data. "
    "Psychometrika 24:95-112, 1959. doi:10.1007/BF02289823",
    "Hedges 1981": "Hedges LV. Distribution theory for Glass's estimator of effect size and related estimators. "
    "Journal of Educational Statistics 6:107-128, 1981. doi:10.3102/10769986006002107",
    "Holm 1979": "Holm S. A simple sequentially rejective multiple test procedure. Scandinavian Journal of "
    "Statistics 6:65-70, 1979.",
    "Johnson et al. 2007": "Johnson WE, Li C, Rabinovic A. Adjusting batch effects in microarray expression data "
    "using empirical Bayes methods. Biostatistics 8:118-127, 2007. doi:10.1093/biostatistics/kxj037",
    "Kingma and Ba 2015": "Kingma DP, Ba J. Adam: a method for stochastic optimization. International Conference "
    "on Learning Representations, 2015. arXiv:1412.6980",
    "LeCun et al. 1998": "LeCun Y, Bottou L, Bengio Y, Haffner P. Gradient-based learning applied to document "
    "recognition. Proceedings of the IEEE 86:2278-2324, 1998. doi:10.1109/5.726791",
    "Loshchilov and Hutter 2019": "Loshchilov I, Hutter F. Decoupled weight decay regularization. International "
    "Conference on Learning Representations, 2019. arXiv:1711.05101",
    "Mölder et al. 2021": "Mölder F, Jablonski KP, Letcher B, et al. Sustainable data analysis with Snakemake. "
    "F1000Research 10:33, 2021. doi:10.12688/f1000research.29032",
    "Nadeau and Bengio 2003": "Nadeau C, Bengio Y. Inference for the generalization error. Machine Learning "
    "52:239-281, 2003. doi:10.1023/A:1024068626366",
    "Paszke et al. 2019": "Paszke A, Gross S, Massa F, et al. PyTorch: an imperative style, high-performance deep "
    "learning library. Advances in Neural Information Processing Systems 32, 2019.",
    "Pedregosa et al. 2011": "Pedregosa F, Varoquaux G, Gramfort A, et al. Scikit-learn: machine learning in Python. "
    "Journal of Machine Learning Research 12:2825-2830, 2011.",
    "Roy and Vetterli 2007": "Roy O, Vetterli M. The effective rank: a measure of effective dimensionality. European "
    "Signal Processing Conference, 606-610, 2007.",
    "Seabold and Perktold 2010": "Seabold S, Perktold J. Statsmodels: econometric and statistical modeling with "
    "Python. Proceedings of the 9th Python in Science Conference, 2010.",
    "Westfall and Young 1993": "Westfall PH, Young SS. Resampling-based multiple testing: examples and methods for "
    "p-value adjustment. Wiley, New York, 1993.",
    "Winkler et al. 2015": "Winkler AM, Webster MA, Vidaurre D, Nichols TE, Smith SM. Multi-level block permutation. "
    "NeuroImage 123:253-268, 2015. doi:10.1016/j.neuroimage.2015.05.092",
}


def cited(text: str) -> list[str]:
    """List the works that a text cites, in alphabetical order."""
    return [reference for key, reference in REFERENCES.items() if key in text]
