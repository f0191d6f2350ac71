# The image with a shell: for CI systems that run their jobs in it (GitLab,
# Jenkins, Woodpecker, Tekton) and therefore need sh and cat. The plain image
# and a static busybox; the binary is on the PATH, and there is no entry point,
# because those systems start "sh".
#
#   docker build -f ci-templates/image/shell.Dockerfile --build-arg ARCH=arm64 dist
#
# The context is the folder of "make release-files". Nothing is run, so it builds
# for a foreign architecture and without a network.
FROM scratch
ARG ARCH=amd64
ADD busybox-${ARCH}.tar /
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY goproxy-setup-linux-${ARCH} /usr/bin/goproxy-setup
ENV PATH=/usr/bin:/bin
CMD ["/bin/sh"]
