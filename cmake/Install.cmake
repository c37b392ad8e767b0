# Install components: runtime (library), dev, kafka-support, gateway, cli.
include(CMakePackageConfigHelpers)
