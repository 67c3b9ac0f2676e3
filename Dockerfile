# The page in a container, on a GPU where the container runtime passes one on:
#     docker build --tag mambaad-inspector .
#     docker run --gpus all --publish 127.0.0.1:7860:7860 --volume mambaad:/data mambaad-inspector
# Without --gpus it runs on the CPU.
FROM python:3.12-slim-bookworm

# gcc: Triton compiles a launcher for its kernels. chromium: prints reports as PDF where its sandbox may open user
# namespaces, which Docker forbids unless `--security-opt seccomp=FILE` names a profile that allows them; elsewhere
# reports come as HTML.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev chromium \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY requirements.txt constraints.txt ./
RUN pip install --no-cache-dir --requirement requirements.txt --constraint constraints.txt
COPY app.py README.md LICENSE ./
COPY mambaad_demo/ mambaad_demo/
COPY train/ train/
COPY checkpoints/ checkpoints/

RUN useradd --create-home inspector && mkdir /data && chown inspector /data
USER inspector
ENV MAMBAAD_HOME=/data GRADIO_SERVER_NAME=0.0.0.0 PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 7860
HEALTHCHECK --start-period=120s CMD \
    ["python", "-c", "import http.client, os, sys; \
port = int(os.environ.get('PORT') or os.environ.get('GRADIO_SERVER_PORT') or 7860); \
connection = http.client.HTTPConnection('127.0.0.1', port, timeout=20); \
connection.request('GET', '/healthz'); \
sys.exit(connection.getresponse().status != 200)"]
CMD ["python", "app.py"]
