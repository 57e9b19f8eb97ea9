"""Adds the recipes of configs/ to the package; pyproject.toml says the rest."""

import setuptools

setuptools.setup(
    packages=[*setuptools.find_packages(
        include=['jaxdeblur*', 'data_pipelines*']),
        'jaxdeblur.recipes.configs'],
    package_dir={'jaxdeblur.recipes.configs': 'configs'})
