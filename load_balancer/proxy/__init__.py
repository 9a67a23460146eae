"""The asyncio side: connections of clients and servers, and the exchange between them. It moves bytes; others decide."""
