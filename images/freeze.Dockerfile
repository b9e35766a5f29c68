# Resolves one file of requirements with the Python that will run them; images/freeze takes the answer out.
ARG BASE=mlinfn/base:0.1.0
FROM ${BASE} AS resolve

# hadolint ignore=DL3008
RUN --mount=type=secret,id=apt-sources,target=/etc/apt/sources.list.d/debian.sources \
    --mount=type=secret,id=apt-conf,target=/etc/apt/apt.conf.d/90machine \
    --mount=type=secret,id=ca-bundle \
    apt-get update -q \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3-pip python3-setuptools

WORKDIR /src
COPY . .
ARG FILE
ARG CONSTRAINTS
ARG STAMP
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    echo "resolved at ${STAMP}" \
    && python3 -m pip install -q --no-cache-dir --break-system-packages --dry-run --ignore-installed --no-build-isolation \
        --report /report.json -r "${FILE}" ${CONSTRAINTS:+-c "${CONSTRAINTS}"}

FROM scratch
COPY --from=resolve /report.json /
