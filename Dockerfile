# The container action, built from source: what "uses: ./" and the main branch run.
#
# A release never builds this file: its action.yml names a prebuilt image by
# digest (ci-templates/image/Dockerfile), because a build at run time needs the
# very module proxies whose outage the action is there to survive.
#
# Behind a proxy of your own: docker build --build-arg GOPROXY=https://… .
# It builds with BuildKit, with the older builder and with buildah alike, which
# is why there is no "# syntax" line, no --mount and no $BUILDPLATFORM.
ARG GO_IMAGE=golang:1.26-bookworm
FROM ${GO_IMAGE} AS build
ARG GOPROXY
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY internal internal
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="-s -w" -o /out/goproxy-setup ./cmd/goproxy-setup

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/goproxy-setup /goproxy-setup
# No USER: GitHub's workspace and command files belong to the runner's user, and
# only root can write them from a container.
ENTRYPOINT ["/goproxy-setup"]
