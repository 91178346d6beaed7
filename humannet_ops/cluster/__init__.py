"""The cluster: the services of docker-compose.yml, also as plain processes on one machine."""
