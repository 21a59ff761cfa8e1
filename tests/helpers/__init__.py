"""What several tests share. Import as ``from helpers.http_server import serve``."""
