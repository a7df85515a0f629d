# The server's image: one static program, the public authorities' certificates and the shipped location data.
#
#   docker build -t meridian .
#   docker run --read-only -v /etc/meridian:/etc/meridian:ro -p 53:53/udp -p 53:53/tcp meridian
#
# The configuration comes in from outside, a whole folder, so that `reload` sees files that an editor has replaced.
# `scripts/docker.sh` builds the final stage below from a program built on the machine itself, without the first stage.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN sh deploy/image.sh /image

FROM scratch
COPY --from=build /image/ /
# Nobody's number on purpose: files of the host belong to somebody else.
USER 65532:65532
# Large zones in pages of 2 MiB, where the system gives them to who asks: docs/operations.md, "Limits".
ENV GLIBC_TUNABLES=glibc.malloc.hugetlb=1
EXPOSE 53/udp 53/tcp
# The listener is named here so that a configuration being edited has no say in whether the server is well.
HEALTHCHECK --interval=10s --timeout=8s --start-period=60s --retries=3 \
    CMD ["/meridian", "healthcheck", "--control", "127.0.0.1:9853"]
ENTRYPOINT ["/meridian"]
CMD ["serve", "--config", "/etc/meridian/meridian.toml"]
