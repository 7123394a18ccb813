# Roundsman in a container: one binary, the machine's certificate authorities, and a configuration to start from.
#
#   docker build -t roundsman .
#   docker run --rm roundsman demo --break database --for 3m
#   docker run -d --read-only -v ./my-house:/etc/roundsman:ro -v roundsman-state:/state roundsman
#
# It runs as user 65532, needs no capability and writes under /state only, so the root may be read-only. After SIGTERM it ends
# within 9 seconds by itself; `docker stop` waits 10.
#
# The page listens at 127.0.0.1:8080, which nobody outside the container reaches. To publish it, set
# ROUNDSMAN_LISTEN=0.0.0.0:8080, and declare a secret with `web: { token: "${secret:…}" }` in roundsman.yaml: beyond loopback
# it does not start without one. Which secret that is, is yours to say, so it is not said here.

FROM rust:1.95-bookworm AS build
WORKDIR /build
# The dependencies are a layer of their own: they change seldom and take most of the time.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && touch src/lib.rs && echo 'fn main() {}' > src/main.rs && cargo build --release --locked
COPY src src
# Files keep the age they had outside; cargo must see that they are newer than the empty ones.
RUN touch src/lib.rs src/main.rs && cargo build --release --locked
# Lines of code for every dependency make four fifths of the file; names of functions stay for backtraces.
RUN strip --strip-debug target/release/roundsman

FROM debian:bookworm-slim
# From the build stage, so that nothing is installed here. The AWS SDK does not start without it.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /build/target/release/roundsman /usr/local/bin/roundsman
COPY roundsman.yaml /etc/roundsman/
COPY probes /etc/roundsman/probes
COPY schedules /etc/roundsman/schedules
COPY runbooks /etc/roundsman/runbooks
RUN install -d -o 65532 -g 65532 /state

# roundsman.yaml keeps its store in STATE_DIRECTORY. SQLite puts large sorts into TMPDIR, and /tmp may be read-only.
ENV STATE_DIRECTORY=/state TMPDIR=/state
VOLUME /state
# So that a command without `--config` finds the files: `docker run roundsman demo`.
WORKDIR /etc/roundsman
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 \
    CMD ["roundsman", "health", "--config", "/etc/roundsman"]
ENTRYPOINT ["roundsman"]
CMD ["run", "--config", "/etc/roundsman"]
